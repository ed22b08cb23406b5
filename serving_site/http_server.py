"""Granian as this project runs it: its supervisor says when it is ready, its workers drain and work in shifts."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer, mp

from serving_site import answering, draining, leaving

#: Seconds the worker gets beyond DRAIN_S before it is killed: closing what has drained.
CLOSING_S = 3
_NEVER_S = 10 * 365 * 86_400


class HttpServer(MPServer):
    """`announce` is called once the workers are started."""

    def __init__(self, env: Any, announce: Callable[[HttpServer], None]) -> None:
        # What a worker loads is a function of this very process. macOS, and Python from 3.14 on, start others anew.
        multiprocessing.set_start_method("fork", force=True)
        super().__init__(
            target="serving_site.wsgi:application",
            address=env.HOST,
            port=env.PORT,
            interface=Interfaces.WSGI,
            workers=env.SERVER_PROCESSES,
            blocking_threads=env.BLOCKING_THREADS,
            backpressure=env.BACKPRESSURE,
            backlog=1024,
            http=HTTPModes.http1,
            websockets=False,
            log_level=LogLevels.error,
            respawn_failed_workers=not env.EMBEDDED,
            workers_kill_timeout=int(env.DRAIN_S) + CLOSING_S,
        )
        self._announce = announce
        # A closed terminal ends the server; to Granian SIGHUP would mean a second worker beside the first.
        self.on_startup(lambda: signal.signal(signal.SIGHUP, self.signal_handler_interrupt))
        if env.LEAVE_S > 0:
            self.on_startup(
                lambda: signal.signal(signal.SIGTERM, lambda *_: leaving.begin(self.signal_handler_interrupt))
            )

    def startup(self, *args: Any, **kwargs: Any) -> None:
        # A thread that ends is missing among those that work in shifts; only the option's check knows no such value.
        self.blocking_threads_idle_timeout = _NEVER_S
        begin: Any = super().startup
        begin(*args, **kwargs)
        # Only now: the worker is forked, and a thread that runs at that moment may leave it an import lock that
        # nobody will ever release.
        self._announce(self)

    def serve_with(self, load: Callable[[], Any]) -> None:
        """Serve what `load` returns in each worker, until a signal; raises SystemExit when a worker has died."""
        self.serve(spawn_target=_serve_and_drain, target_loader=load, wrap_loader=False)


def _serve_and_drain(*args: Any, **kwargs: Any) -> None:
    """Granian's worker, then our own threads: requests end first, then what they left running."""
    draining.end_when_quiet(_stop_own_threads)
    _let_threads_finish()
    # No option of Granian names the wrapper that sends an application's answers.
    mp._wsgi_call_wrap = answering.in_shifts  # type: ignore[attr-defined, assignment]
    MPServer._spawn_wsgi_worker(*args, **kwargs)
    _stop_own_threads()


def _let_threads_finish() -> None:
    """Ask the kernel not to break off a thread whenever another one wakes: the server's own is woken by every request,
    and the call that it interrupts holds the interpreter. A third more calls at 16 connections on one core."""
    if hasattr(os, "SCHED_BATCH"):
        # A container may forbid it.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # What works beside the calls hands the interpreter over this soon; Python's five milliseconds show in the p99.
    sys.setswitchinterval(0.001)


def _stop_own_threads() -> None:
    processes = sys.modules.get("serving_site.processes")
    if processes is not None:
        processes.stop()
