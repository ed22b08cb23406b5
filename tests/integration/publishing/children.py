"""What the tests run in a sandbox: small functions that behave as a hostile or a broken model file would."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from pathlib import Path
from typing import Any

from models_registry import errors


def double(number: int) -> int:
    return 2 * number


def process() -> int:
    return os.getpid()


def environment() -> tuple[dict[str, str], bytes]:
    return dict(os.environ), Path("/proc/self/environ").read_bytes()


def limits() -> dict[str, int]:
    return {name: resource.getrlimit(getattr(resource, name))[0] for name in ("RLIMIT_AS", "RLIMIT_FSIZE")}


def write(path: str) -> None:
    Path(path).write_bytes(b"escaped")


def refuse() -> None:
    raise errors.FormatNotAllowed("not this one", field="file")


def fail() -> None:
    raise ValueError("two words")


def exit_at_once() -> None:
    os._exit(7)


def segfault() -> None:
    ctypes.string_at(0)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def spin_in_c() -> Any:
    """Never gives Python a chance to see a signal."""
    return sum(range(1 << 62))


def take_memory() -> int:
    return len([bytearray(1 << 26) for _ in range(1 << 10)])


def unpicklable() -> Any:
    return lambda: None


def unpicklable_generator() -> Any:
    return (number for number in range(3))
