"""The child's side of a sandbox: limits taken before anything is opened, and outcomes packed as plain values."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from models_registry import errors
from monitoring.parent import die_with_parent

#: The child's whole environment: one thread per process, and nothing of ours.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JOBLIB_MULTIPROCESSING": "0",
}


def confine(parent: int, memory_bytes: int, cpu_s: int | None) -> None:
    """Take the limits; called once in a new child, before it gets any work."""
    _die_with(parent)
    # pebble's handler waits for Python to run again; a child inside C code would live on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _forget_environment()
    sys.dont_write_bytecode = True
    if sys.platform == "linux":  # elsewhere shared libraries alone reserve more than any sensible limit
        _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 256)
    if cpu_s is not None:
        # A second between the two: SIGXCPU says why the child ended, SIGKILL at the hard limit would not.
        _limit(resource.RLIMIT_CPU, cpu_s, more=1)


def answer(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, Any]:
    """Run the function; return ("value", it) or (a kind of failure, its message), never raise."""
    try:
        return "value", function(*args)
    except errors.DomainError as error:
        return type(error).__name__, error.message
    except MemoryError as error:
        return "ResourceExhausted", f"the model needs more memory than its process may have: {_sentence(error)}"
    except RecursionError:
        return "ModelRaised", "RecursionError: the file is nested too deeply"
    except Exception as error:
        kind = "ResourceExhausted" if "bad_alloc" in str(error) or "bad allocation" in str(error) else "ModelRaised"
        return kind, _sentence(error)


def unpack(outcome: tuple[str, Any]) -> Any:
    """The parent's side of `answer`: the value, or the error raised."""
    kind, content = outcome
    if kind == "value":
        return content
    raise _ERRORS.get(kind, errors.ModelRaised)(content)


def death_of(exitcode: int | None) -> errors.DomainError:
    """What a child's exit code means: killed by its CPU limit, by a signal, or ended by itself."""
    if exitcode == -signal.SIGXCPU:
        return errors.PredictionTimeout("the model used up the CPU time its process may have")
    if exitcode is not None and exitcode < 0:
        return errors.ProcessCrashed(f"the model's process was ended by {signal.Signals(-exitcode).name}")
    return errors.ProcessCrashed(f"the model's process ended with exit code {exitcode}")


_ERRORS: dict[str, type[errors.DomainError]] = {
    kind.__name__: kind
    for kind in (
        errors.InvalidInput,
        errors.FormatNotAllowed,
        errors.TooLarge,
        errors.NotFound,
        errors.Conflict,
        errors.ModelRaised,
        errors.UnusableOutput,
        errors.ResourceExhausted,
        errors.PredictionTimeout,
    )
}


def _sentence(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text[:1000]}" if text else type(error).__name__


def _limit(what: int, value: int, more: int = 0) -> None:
    """Lower a limit for good, the hard one to `more` above it; a limit that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    most = value + more if hard == resource.RLIM_INFINITY else min(value + more, hard)
    resource.setrlimit(what, (min(value, most), most))


def _die_with(parent: int) -> None:
    """Let the kernel kill this child when its parent ends, and end at once if it already has."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


def _forget_environment() -> None:
    """Empty the environment, and blank the block it came in, which /proc/self/environ would still show."""
    if sys.platform == "linux":
        block = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
        index = 0
        while address := block[index]:
            ctypes.memset(address, 0, len(ctypes.string_at(address)))
            index += 1
    for name in list(os.environ):
        del os.environ[name]
    os.environ.update(_ENVIRONMENT)
