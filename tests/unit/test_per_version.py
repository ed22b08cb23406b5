"""What follows from a version is worked out once per object, and never told of another version."""

from __future__ import annotations

from dataclasses import replace

from models_registry import per_version
from models_registry.per_version import PerVersion
from tests.unit.test_oip_quick import PAIRS


def test_it_is_made_once_and_anew_for_an_object_that_took_its_place() -> None:
    made: list[object] = []
    remembered = PerVersion(lambda version: made.append(version) or len(made))
    other = replace(PAIRS, number=2)
    assert [remembered.of(PAIRS), remembered.of(PAIRS), remembered.of(other), remembered.of(PAIRS)] == [1, 1, 2, 1]
    remembered._made[id(other)] = (PAIRS, 1)
    assert remembered.of(other) == 3


def test_no_more_are_remembered_than_the_bound(monkeypatch) -> None:
    monkeypatch.setattr(per_version, "MOST", 2)
    remembered = PerVersion(lambda version: version.number)
    kept = [replace(PAIRS, number=number) for number in range(9)]
    assert [remembered.of(version) for version in kept] == list(range(9))
    assert len(remembered._made) <= 2
