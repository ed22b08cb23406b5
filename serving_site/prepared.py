"""Whether a data folder is prepared for this code: checked by digest, without Django and without its database.

Preparing is `manage.py prepare`: migrations, demo models, demo credentials. It runs in a process of its own, so that
what it imports (scikit-learn) is gone before the server starts.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STAMP = "prepared"
ROOMS = ("monitoring", "models_registry", "predictions")


def ensure(env: Any) -> None:
    """Prepare the folder unless its stamp says that this very code has done so.

    Raises `subprocess.CalledProcessError` when preparing failed; the stamp is then not written.
    """
    stamp = env.DATA_DIR / STAMP
    wanted = _digest(env.ROOT, env.DATABASE_URL)
    database_there = bool(env.DATABASE_URL) or (env.DATA_DIR / "serving.sqlite3").exists()
    if database_there and (env.DATA_DIR / "credentials.json").exists() and _read(stamp) == wanted:
        return
    # Its own role: it must neither start the server's threads nor act for anonymous callers.
    subprocess.run([sys.executable, env.ROOT / "manage.py", "prepare"], check=True, env=_environment())  # noqa: S603 - ours
    mark(env)


def mark(env: Any) -> None:
    """Say that the folder is prepared for this very code."""
    (env.DATA_DIR / STAMP).write_text(_digest(env.ROOT, env.DATABASE_URL))


def _environment() -> dict[str, str]:
    return {**os.environ, "SERVING_ROLE": "prepare"}


def _read(stamp: Path) -> str:
    try:
        return stamp.read_text()
    except OSError:
        return ""


def _digest(root: Path, database_url: str) -> str:
    """Digest of all that preparing depends on: our migrations, the demo, and the pins (other apps' migrations)."""
    files = [root / "requirements.txt", root / "serving_site/management/commands/quickstart.py"]
    for room in ROOMS:
        files += sorted((root / room / "migrations").glob("*.py"))
    seen = hashlib.sha256(database_url.encode())
    for file in files:
        if file.exists():
            seen.update(file.name.encode() + file.read_bytes())
    return seen.hexdigest()
