"""Waiting for what another thread, process or machine does, and keeping it busy meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any


def eventually(look: Callable[[], Any], *, limit: float = 30.0, pause: float = 0.02) -> Any:
    """What `look` finds as soon as it finds something, asked every `pause` seconds. Fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {limit} s"
        time.sleep(pause)
    return found


@contextmanager
def repeating(*works: Callable[[], Any], threads: int, pause: float) -> Iterator[None]:
    """Do every piece of work again and again, shared among threads that rest between rounds, until the block ends.

    A call that is not answered (a server under test may be down) is tried again in the next round.
    """
    ended = threading.Event()

    def repeat(mine: tuple[Callable[[], Any], ...]) -> None:
        while not ended.wait(pause):
            for work in mine:
                with suppress(OSError, HTTPException):
                    work()

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(repeat, works[part::threads]) for part in range(threads)]
        try:
            yield
        finally:
            ended.set()
            for one in running:
                one.result()
