"""A private PostgreSQL: trust on loopback only, a database and role called `serving`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psycopg

from serving_site.stack.server import ACCOUNT, Server, folder_for, free_port, launch, program

_PLACES = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


def start(root: Path, *, port: int | None = None) -> Server:
    """Start it in `root/postgres`, making the cluster on first use. Commits are durable: fsync stays on."""
    folder = folder_for(root, "postgres", unprivileged=True)
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        _as_account(
            [
                program("initdb", *_PLACES),
                "-D",
                str(data),
                "-U",
                "serving",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ],
            folder,
        )
    port = port or free_port()
    server = launch(
        "postgres",
        [
            program("postgres", *_PLACES),
            *("-D", data),
            *("-p", str(port)),
            *("-k", folder),
            *("-c", "listen_addresses=127.0.0.1"),
            *("-c", "max_connections=200"),
            *("-c", "shared_buffers=128MB"),
            *_logging(folder),
        ],
        folder=folder,
        port=port,
        url=f"postgres://serving@127.0.0.1:{port}/serving",
        unprivileged=True,
    )
    _make_database(port)
    return server


def _logging(folder: Path) -> list[str | Path]:
    """JSON in a file for each day of the week; what clients sent stays out of it."""
    return [
        *("-c", "logging_collector=on", "-c", "log_destination=jsonlog", "-c", f"log_directory={folder / 'log'}"),
        *("-c", "log_filename=postgresql-%a.log", "-c", "log_truncate_on_rotation=on", "-c", "log_rotation_size=0"),
        *("-c", "log_min_error_statement=panic", "-c", "log_parameter_max_length_on_error=0"),
        *("-c", "log_timezone=UTC"),
    ]


def _make_database(port: int) -> None:
    """Create the database once; the server may still be starting up when its port already answers."""
    end = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(
                f"postgres://serving@127.0.0.1:{port}/postgres", autocommit=True, connect_timeout=2
            ) as c:
                if not c.execute("select 1 from pg_database where datname = 'serving'").fetchone():
                    c.execute("create database serving")
                return
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _as_account(command: list[str], folder: Path) -> None:
    prefix = ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
