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


VERSION = Version(
    id=uuid4(),
    project_id=1,
    project="demo",
    model_id=1,
    model="adder",
    number=1,
    digest="d",
    runtime="onnx",
    signature=Tiny.signature,
    served_digest="d",
    hard_limit_s=0.0,
    pool="default",
    open_limit=1,
    row_cost_s=(0.0, 0.0, 0.0),
)


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
