"""Versions loaded in a process: once each, off the request, dropped when nothing needs them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from models_registry import errors, loaded
from models_registry.loaded import Loaded
from models_registry.routing import Version
from tests import cast
from tests.versions import a_version


class Tiny:
    """A predictor that remembers being closed."""

    signature = cast.adder().signature

    def __init__(self) -> None:
        self.closed = False

    def predict(self, inputs: Any, *, timeout: float) -> Any:
        return inputs

    def memory_bytes(self) -> int:
        return 1

    def close(self) -> None:
        self.closed = True


VERSION = a_version(Tiny.signature, id=uuid4(), runtime="native", hard_limit_s=0.0)


def version() -> Version:
    return replace(VERSION, id=uuid4())


def test_many_callers_load_a_version_once() -> None:
    loads: list[Version] = []

    def load(wanted: Version) -> Tiny:
        time.sleep(0.05)
        loads.append(wanted)
        return Tiny()

    shelf, found = Loaded(load, lambda: None), []
    threads = [threading.Thread(target=lambda: found.append(shelf.get(VERSION, wait=2))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [VERSION]
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_load_that_takes_long_is_unavailable_and_goes_on() -> None:
    gate = threading.Event()

    def load(wanted: Version) -> Tiny:
        gate.wait(5)
        return Tiny()

    shelf = Loaded(load, lambda: None)
    with pytest.raises(errors.Unavailable) as caught:
        shelf.get(VERSION, wait=0.05)
    assert caught.value.retry_after == 1
    gate.set()
    assert isinstance(shelf.get(VERSION, wait=2), Tiny)


def test_a_version_that_cannot_load_is_broken_alone_and_not_tried_at_once() -> None:
    bad, good = version(), version()
    tries: list[Version] = []

    def load(wanted: Version) -> Tiny:
        tries.append(wanted)
        if wanted is bad:
            raise errors.ModelRaised("no model")
        return Tiny()

    shelf = Loaded(load, lambda: None)
    for _ in range(3):
        with pytest.raises(errors.Unavailable):
            shelf.get(bad, wait=1)
    assert isinstance(shelf.get(good, wait=1), Tiny)
    assert tries.count(bad) == 1
    assert set(shelf.broken) == {bad.id}


def test_the_least_recently_used_version_without_an_alias_goes_first() -> None:
    shelf = Loaded(lambda wanted: Tiny(), lambda: None)
    aliased, *spare = [version() for _ in range(loaded.ON_DEMAND_LIMIT + 2)]
    known = {one.id: one for one in (aliased, *spare)}
    for one in (aliased, *spare, spare[0]):
        shelf.get(one, wait=1)
    oldest = shelf.get(spare[1], wait=1) and shelf.ready[spare[2].id]
    shelf.keep([aliased.id], known)
    assert spare[2].id not in shelf.ready
    assert {aliased.id, spare[0].id, spare[1].id} <= set(shelf.ready)
    shelf.drain()
    assert not oldest.closed, "calls that run may end first"
    shelf.drain(now=True)
    assert oldest.closed


# Bounded memory ---------------------------------------------------------------------------------------------

MIB = 2**20


def sized(octets: int, *, runtime: str = "onnx") -> Version:
    return replace(VERSION, id=uuid4(), memory_bytes=octets, runtime=runtime)


def shelf_of(limit: int) -> Loaded:
    return Loaded(lambda wanted: Tiny(), lambda: None, limit=limit)


def test_the_least_recently_used_version_is_unloaded_beyond_the_bound_alias_or_not() -> None:
    shelf, versions = shelf_of(3 * MIB), [sized(MIB) for _ in range(4)]
    known = {one.id: one for one in versions}
    for one in versions[:3]:
        shelf.get(one, wait=1)
    oldest = shelf.ready[versions[1].id]
    shelf.get(versions[0], wait=1)
    shelf.get(versions[3], wait=1)
    shelf.keep(known, known)
    assert set(shelf.ready) == {versions[0].id, versions[2].id, versions[3].id}
    assert shelf.octets == 3 * MIB
    assert oldest.closed, "calls of a compiled version hold what they need themselves"


def test_what_was_unloaded_is_loaded_again_when_it_is_asked_for() -> None:
    shelf, versions = shelf_of(2 * MIB), [sized(MIB) for _ in range(20)]
    for one in [*versions, *versions]:
        assert isinstance(shelf.get(one, wait=1), Tiny)
        assert shelf.octets <= 2 * MIB
    assert len(shelf.ready) == 2


def test_versions_in_use_stay_while_others_come_and_go() -> None:
    shelf = shelf_of(4 * MIB)
    used = [sized(MIB) for _ in range(3)]
    for one in used:
        shelf.get(one, wait=1)
    for _ in range(50):
        shelf.get(sized(MIB), wait=1)
        assert all(one.id in shelf.ready for one in used)
        for one in used:
            shelf.get(one, wait=1)


def test_nothing_is_loaded_ahead_without_room_and_nothing_unloaded_for_it() -> None:
    shelf, first, second = shelf_of(MIB), sized(MIB), sized(MIB)
    ahead = shelf.start_ahead(first)
    assert ahead is not None
    assert not shelf.has_room(second), "the first one is coming or there"
    ahead.result(5)
    assert shelf.start_ahead(second) is None
    assert set(shelf.ready) == {first.id}
    shelf.keep([], {})
    assert (shelf.octets, shelf.has_room(second)) == (0, True)


def test_a_version_larger_than_the_bound_is_loaded_alone() -> None:
    shelf, small, large = shelf_of(MIB), sized(MIB), sized(5 * MIB)
    shelf.get(small, wait=1)
    assert isinstance(shelf.get(large, wait=1), Tiny)
    assert set(shelf.ready) == {large.id}


def test_a_native_version_is_closed_when_its_calls_have_ended() -> None:
    shelf, native = shelf_of(MIB), sized(MIB, runtime="native")
    predictor = shelf.get(native, wait=1)
    shelf.get(sized(MIB), wait=1)
    shelf.drain()
    assert not predictor.closed  # type: ignore[attr-defined]
    shelf.drain(now=True)
    assert predictor.closed  # type: ignore[attr-defined]


def test_a_load_that_fails_takes_no_room() -> None:
    def load(wanted: Version) -> Tiny:
        raise errors.ModelRaised("no model")

    shelf = Loaded(load, lambda: None, limit=MIB)
    bad = sized(MIB)
    with pytest.raises(errors.Unavailable):
        shelf.get(bad, wait=1)
    assert shelf.has_room(sized(MIB))
    assert 0 < shelf.next_retry_s([bad]) <= loaded.FIRST_RETRY_S
    assert shelf.next_retry_s([]) == float("inf")
