"""The logs of real servers, followed as the stack configures them: lines arrive, what clients sent does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from kombu import Connection

from monitoring.logs.following import Follower, Wanted
from monitoring.logs.lines import LogLine

CANARY = "canary4711"


def followed(wanted: Wanted, folder: Path, until: Callable[[list[LogLine]], bool]) -> list[LogLine]:
    """The lines of these files once they meet the condition."""
    follower, lines, end = Follower([wanted], folder), [], time.monotonic() + 20
    while time.monotonic() < end and not until(lines):
        batch = follower.batch(1000)
        lines += [line for _, line in batch]
        follower.mark([place for place, _ in batch])
        time.sleep(0.05)
    follower.close()
    assert until(lines), [line.text("message") for line in lines]
    assert CANARY not in str([line.fields for line in lines])
    return lines


def says(lines: list[LogLine], *words: str) -> bool:
    return any(all(word in line.text("message") for word in words) for line in lines)


def test_postgresql_says_what_failed_and_not_with_which_values(postgres_server, tmp_path):
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE one (value int UNIQUE, name text)")
        for statement in (
            f"SELECT '{CANARY}'::int",
            f"INSERT INTO one (name, value) VALUES ('{CANARY}', 'x')",
            f"SELECT '{CANARY}' FROM nowhere",
            f"SELECT 1 AS {CANARY} FROM {CANARY}!",
            f"INSERT INTO one SELECT 7, '{CANARY}' FROM generate_series(1, 2)",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
    wanted = Wanted("postgresql", f"{postgres_server.folder}/log/postgresql-*.json")
    lines = followed(wanted, tmp_path, lambda lines: says(lines, "duplicate key"))
    errors = [line for line in lines if line.text("log.level") == "error"]
    assert {"22P02", "42P01", "42601", "23505"} <= {line.text("error.code") for line in errors}
    assert says(errors, 'relation "nowhere" does not exist')
    assert all(line.text("service.name") == "postgresql" and line.fields["process.pid"] for line in lines)


def test_rabbitmq_says_who_was_refused(rabbitmq_server, tmp_path):
    wrong = rabbitmq_server.url.replace(rabbitmq_server.url.split(":")[2].split("@")[0], CANARY)
    with suppress(Exception):
        Connection(wrong, connect_timeout=3).connect()
    wanted = Wanted("rabbitmq", str(rabbitmq_server.folder / "rabbitmq.log"))
    lines = followed(wanted, tmp_path, lambda lines: says(lines, "refused"))
    assert {"info", "error"} <= {line.text("log.level") for line in lines}
    assert says(lines, "Server startup complete")


def test_redis_says_that_it_is_ready(private_redis, tmp_path):
    server = private_redis()
    wanted = Wanted("redis", str(server.folder / f"{server.name}.log"))
    lines = followed(wanted, tmp_path, lambda lines: says(lines, "Ready to accept connections"))
    assert {line.fields["process.pid"] for line in lines} >= {server.pid}
    assert abs(lines[-1].at.timestamp() - time.time()) < 120
