"""Alias changes under load, with two server processes and two workers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.load import Connection
from tests.chaos.services.aliases import Caller, Change, Heard, lateness, point, pointed_at
from tests.chaos.services.arena import Arena
from tests.chaos.services.scene import STANDARD, Scene

FULL = int(os.environ.get("CHAOS_ROUNDS", "1")) >= 10
CHANGES = 40 if FULL else 8
#: Seconds after a change within which every process has noticed it, and within which the new version answers although
#: it was loaded nowhere before.
NOTICED_S, ANSWERING_S = 1.0, 2.0
EVERY_S = 2.2


def test_what_an_alias_pointed_at_is_known_to_the_instant() -> None:
    changes = [Change(1, 0.0, 0.1), Change(2, 5.0, 5.2)]
    assert pointed_at(changes, 1.0, 2.0) == {1}
    assert pointed_at(changes, 5.1, 5.1) == {1, 2}
    assert pointed_at(changes, 6.0, 7.0) == {2}


def test_an_answer_of_the_old_version_long_after_a_change_is_found() -> None:
    changes = [Change(1, 0.0, 0.1), Change(2, 5.0, 5.2)]
    heard = [Heard("online", 1, 4.0, 4.1), Heard("online", 1, 6.7, 6.8), Heard("online", 2, 7.0, 7.1)]
    assert lateness(changes, heard) == [pytest.approx(1.5)]


@pytest.fixture
def scene(arena: Arena) -> Iterator[Scene]:
    made = Scene(arena, arena.place("aliases"), workers={"one": STANDARD, "two": STANDARD}, small=True)
    made.start()
    yield made
    made.stop()


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_every_answer_names_a_version_the_alias_pointed_at(scene: Scene, tmp_path: Path) -> None:
    connection = Connection(scene.port)
    # Registered last, so champion points at version 2 and no process has loaded version 1 yet.
    changes = [Change(2, 0.0, 0.0)]
    caller = Caller(scene, "left")
    caller.start()
    try:
        for number in range(CHANGES):
            time.sleep(EVERY_S)
            changes.append(point(connection, scene, "left", 1 if number % 2 == 0 else 2))
        time.sleep(EVERY_S)
    finally:
        caller.stop()
        connection.close()
    late = lateness(changes, caller.heard)
    text = markdown(caller.heard, late)
    facts = {"answers": len(caller.heard), "late_s": [round(item, 3) for item in late], "versions": report.versions()}
    report.write(report.KEPT if FULL else tmp_path, "aliases-services", facts, text)
    print(text)
    assert caller.failed == []
    assert {answer.door for answer in caller.heard} == {"online", "queued"}
    strange = [
        answer
        for answer in caller.heard
        if answer.version not in pointed_at(changes, answer.sent - ANSWERING_S, answer.came)
    ]
    assert strange == []
    assert late[0] <= ANSWERING_S, late
    assert max(late[1:]) <= NOTICED_S, late


def markdown(heard: Sequence[Heard], late: Sequence[float]) -> str:
    doors = {door: sum(1 for answer in heard if answer.door == door) for door in ("online", "queued")}
    return f"""# Alias changes under load, two server processes and two workers

{len(late)} changes of an alias while clients got {doors["online"]:,} online and {doors["queued"]:,} queued answers,
each of a version that the alias pointed at. After the first change, to a version no process had loaded, the old one was
last given to a call sent {late[0]:.2f} s later; after the others {max(late[1:]):.2f} s at most.
"""
