"""Following files over rotation, truncation and restarts; lines of other programs in ECS words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monitoring.logs import following
from monitoring.logs.following import Follower, Wanted, wanted
from monitoring.logs.foreign import fields_of


class Reading:
    """A keeper that follows one pattern, may refuse to store, and may be started again."""

    def __init__(self, folder: Path, pattern: Path) -> None:
        self._folder, self._wanted = folder, [Wanted("redis", str(pattern))]
        self.follower = Follower(self._wanted, folder)

    def read(self, *, stores: bool = True) -> list[str]:
        batch = self.follower.batch(1000)
        if stores:
            self.follower.mark([place for place, _ in batch])
        return [line.text("message") for _, line in batch]

    def again(self) -> Reading:
        self.follower.close()
        return Reading(self._folder, Path(self._wanted[0].pattern))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "redis.log"


@pytest.fixture
def reading(tmp_path: Path, log: Path) -> Reading:
    return Reading(tmp_path / "kept", log)


def write(path: Path, *lines: str, mode: str = "a") -> None:
    with path.open(mode) as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_new_lines_are_read_once(log, reading):
    assert reading.read() == []
    write(log, "one", "two")
    assert reading.read() == ["one", "two"]
    assert reading.read() == []
    write(log, "three")
    assert reading.read() == ["three"]


def test_what_was_not_stored_comes_again_with_the_same_ids(log, reading):
    write(log, *(f"7:M 22 Nov 2026 19:24:00.00{number} * {text}" for number, text in enumerate(["one", "two"])))
    first = reading.follower.batch(1000)
    assert reading.follower.batch(1000) == first
    reading.follower.mark([first[0][0]])
    assert reading.read() == ["two"]


def test_a_restart_goes_on_where_reading_stopped(log, reading):
    write(log, "one", "two")
    reading.read()
    write(log, "three")
    assert reading.again().read() == ["three"]


def test_a_line_is_read_when_it_is_whole(log, reading):
    with log.open("a") as file:
        file.write("half a ")
        file.flush()
        assert reading.read() == []
        file.write("line\n")
    assert reading.read() == ["half a line"]


def test_a_renamed_file_is_read_to_its_end_and_its_successor_from_its_beginning(tmp_path, log, reading):
    write(log, "one")
    reading.read()
    write(log, "two")
    log.rename(tmp_path / "redis.log.1")
    write(log, "three")
    assert reading.read() == ["two", "three"]
    reading = reading.again()
    assert reading.read() == []
    write(tmp_path / "redis.log.1", "late")
    write(log, "four")
    assert reading.read() == ["late", "four"]


def test_a_rotation_while_nobody_reads_loses_nothing(tmp_path, log, reading):
    write(log, "one")
    reading.read()
    reading.follower.close()
    write(log, "two")
    log.rename(tmp_path / "redis.log.1")
    write(log, "three")
    assert reading.again().read() == ["two", "three"]


def test_a_truncated_file_is_read_from_its_beginning(log, reading):
    write(log, "one", "a longer second line")
    reading.read()
    write(log, "new", mode="w")
    assert reading.read() == ["new"]


def test_another_file_on_the_same_inode_is_told_by_its_beginning(log, reading):
    write(log, "one", "two")
    reading.read()
    inode = os.stat(log).st_ino
    write(log, "this is", "another file", "and longer", mode="w")
    assert os.stat(log).st_ino == inode
    assert reading.read() == ["this is", "another file", "and longer"]


def test_a_removed_file_is_forgotten(log, reading):
    write(log, "one")
    reading.read()
    log.unlink()
    assert reading.read() == []
    write(log, "two")
    assert reading.read() == ["two"]


def test_a_large_log_is_begun_near_its_end(log, reading, monkeypatch):
    monkeypatch.setattr(following, "FIRST_BYTES", 20)
    write(log, *(f"line {number}" for number in range(100)))
    assert reading.read() == ["line 98", "line 99"]


def test_a_line_without_end_is_cut(log, reading, monkeypatch):
    monkeypatch.setattr(following, "READ_BYTES", 64)
    log.write_text("x" * 150 + "\nlast\n")
    assert "".join(text for _ in range(4) for text in reading.read()) == "x" * 150 + "last"


def test_of_two_keepers_one_reads(tmp_path, log, reading):
    write(log, "one")
    other = Reading(tmp_path / "kept", log)
    assert reading.read() == ["one"]
    write(log, "two")
    assert other.read() == []
    reading.follower.close()
    assert other.read() == ["two"]


def test_spoilt_offsets_cost_repeats_and_nothing_else(tmp_path, log, reading):
    write(log, "one")
    reading.read()
    (tmp_path / "kept" / "followed.json").write_text('{"1:2": ["x"]}')
    assert reading.again().read() == ["one"]


def test_patterns_name_several_files(tmp_path):
    reading = Reading(tmp_path / "kept", tmp_path / "redis-*.log")
    write(tmp_path / "redis-a.log", "one")
    write(tmp_path / "redis-b.log", "two")
    assert sorted(reading.read()) == ["one", "two"]


def test_the_setting_names_kinds_and_absolute_paths():
    assert wanted(["redis:/a/b", " rabbitmq:/c*"]) == [Wanted("redis", "/a/b"), Wanted("rabbitmq", "/c*")]
    for wrong in ("/a/b", "mysql:/a", "redis:relative", ""):
        with pytest.raises(ValueError, match="is not one of rabbitmq, redis, postgresql"):
            wanted([wrong])


def test_rabbitmq_writes_json():
    text = json.dumps(
        {
            "time": "2026-11-22 19:24:00.123456+00:00",
            "level": "notice",
            "msg": "node up",
            "domain": "rabbitmq.connection",
            "pid": "<0.1.0>",
        }
    )
    fields = fields_of("rabbitmq", text)
    assert fields is not None
    assert (fields["message"], fields["log.level"], fields["service.name"]) == ("node up", "info", "rabbitmq")
    assert fields["@timestamp"] == "2026-11-22T19:24:00.123456+00:00"
    assert fields["log.logger"] == "rabbitmq.connection"


def test_plain_lines_of_rabbitmq_and_redis_are_understood():
    plain = fields_of("rabbitmq", "2026-11-22 19:24:00.123456+00:00 [error] <0.224.0> BOOT FAILED")
    assert plain is not None
    assert (plain["message"], plain["log.level"]) == ("BOOT FAILED", "error")
    redis = fields_of("redis", "2341:M 22 Nov 2026 19:24:00.123 # WARNING Memory overcommit must be enabled!")
    assert redis is not None
    assert (redis["log.level"], redis["process.pid"]) == ("warning", 2341)
    assert fields_of("redis", "   .-``    ```.  ") is None
    assert fields_of("rabbitmq", "") is None


@pytest.mark.parametrize(
    ("message", "state", "expected"),
    [
        ('invalid input syntax for type integer: "canary"', "22P02", "invalid input syntax for type integer"),
        ('relation "nowhere" does not exist', "42P01", 'relation "nowhere" does not exist'),
        ('syntax error at or near "canary"', "42601", 'syntax error at or near "…"'),
        ('unterminated quoted string at or near "canary', "42601", 'unterminated quoted string at or near "…"'),
        ("duration: 5.1 ms  statement: INSERT INTO x VALUES ('canary')", "", "duration: 5.1 ms  …"),
        ("duration: 5.1 ms  execute <unnamed>: SELECT 'canary'", "", "duration: 5.1 ms  …"),
        ("checkpoint complete", "", "checkpoint complete"),
    ],
)
def test_postgresql_quotes_no_values(message, state, expected):
    entry = {
        "timestamp": "2026-11-22 19:24:00.123 UTC",
        "pid": 7,
        "error_severity": "ERROR",
        "state_code": state or "00000",
        "message": message,
        "detail": "Failing row contains (canary).",
        "statement": "SELECT 'canary'",
    }
    fields = fields_of("postgresql", json.dumps(entry))
    assert fields is not None
    assert (fields["message"], fields["log.level"]) == (expected, "error")
    assert fields["@timestamp"] == "2026-11-22T19:24:00.123000+00:00"
    assert "canary" not in str(fields)


def test_postgresql_on_stderr_says_the_same():
    fields = fields_of("postgresql", '2026-11-22 19:24:00.123 UTC [99] FATAL:  role "x" does not exist')
    assert fields is not None
    assert (fields["log.level"], fields["process.pid"]) == ("critical", 99)
    assert fields_of("postgresql", "2026-11-22 19:24:00.123 UTC [99] STATEMENT:  SELECT 'canary'") is None
    assert fields_of("postgresql", "\tcontinued 'canary'") is None
