"""The pinned requirements say what pyproject.toml says, with hashes and without an address."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

FILES = {
    "requirements-dev.txt": ["pyproject.toml", "--group", "dev"],
    "requirements.txt": ["pyproject.toml", "-c", "requirements-dev.txt"],
    "requirements-uv.txt": ["--group", "installer"],
    "requirements-image.txt": ["--group", "image"],
}
FLAGS = [
    *("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header"),
]


@pytest.mark.parametrize("name", FILES)
def test_requirements_are_current(name: str, tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    for needed in ["pyproject.toml", "README.md", *FILES]:
        shutil.copy(ROOT / needed, tmp_path)
    command = [uv, "pip", "compile", *FLAGS, *FILES[name], "-o", name]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Failed to fetch" in ended.stderr and "client error (Connect)" in ended.stderr:
        pytest.skip("no package index in reach")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / name).read_text() == (ROOT / name).read_text(), "run `make requirements`"


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_and_hashed_and_names_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(index-url|extra-index-url|find-links)", text, re.MULTILINE)
    entries = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_makefile_exports_with_the_flags_that_the_test_uses() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n\t", "")
    assert f"uv pip compile {' '.join(FLAGS)}" in makefile
