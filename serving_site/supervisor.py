"""`manage.py serve`: one small supervisor and one worker process that serves; killing either ends both.

The supervisor imports no Django: it holds the data folder's lock, prepares the folder in a process of its own when
something is new, starts Granian's one worker, and tells the user when the server is ready. Whatever a signal or a kill
does to one of the two, the other ends too and the folder's lock is free again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from monitoring.parent import die_with_parent
from serving_site import banner, prepared
from serving_site.data_lock import DataFolderInUse, DataLock

#: What a server process needs set before it starts: two malloc arenas instead of one per thread and core keep memory
#: flat with 64 threads; fixed thresholds (glibc raises its own up to 32 MiB after the first large body) give large
#: buffers back at once, and so does Granian's allocator (jemalloc), which else waits for calls that may not come; and
#: a BLAS pool per process would only fight the threads for the cores.
PROCESS_ENVIRONMENT = {
    "SERVING_ROLE": "web",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "262144",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
#: Seconds the process of the demo traffic gets to end before it is killed.
TRAFFIC_ENDS_S = 3
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

Application = Callable[[dict[str, Any], Any], Any]


def enter() -> NoReturn:
    """Serve in the foreground, in a process started with the right environment; exits with the server's status."""
    if os.environ.get("SERVING_ROLE") != "web":
        command = [sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **PROCESS_ENVIRONMENT, **_metrics()})  # noqa: S606 - ourselves
    sys.exit(serve(load_application))


def load_application() -> Application:
    from serving_site.wsgi import application

    return application


def serve(load: Callable[[], Application]) -> int:
    """Serve what `load` returns (called in the worker process) until a signal or a death; return the exit status."""
    from serving_site import env

    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = DataLock(env.DATA_DIR)
    try:
        if env.EMBEDDED:
            lock.take()
        _check_port_is_free(env.HOST, env.PORT)
        lock.tell(pid=os.getpid(), url=env.URL)
        if env.EMBEDDED:
            # Beside other processes the tables are whoever deploys them's: `manage.py migrate`, or `prepare`.
            prepared.ensure(env)
        _make_folder_of_metrics()
    except (DataFolderInUse, _PortTaken) as refusal:
        return _refuse(str(refusal))
    except subprocess.CalledProcessError as failure:
        return _refuse(f"Preparing {env.DATA_DIR} failed with status {failure.returncode}; the lines above say why.")
    except KeyboardInterrupt:
        return 130
    return _run(env, lock, load, started)


def _metrics() -> dict[str, str]:
    """Where several processes of this server add up their metrics; read by their library before it is told."""
    from serving_site import env

    return {METRICS_FOLDER: str(env.DATA_DIR / f"metrics-{env.PORT}")} if env.SERVER_PROCESSES > 1 else {}


def _make_folder_of_metrics() -> None:
    folder = os.environ.get(METRICS_FOLDER)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)


class _PortTaken(Exception):
    """Something else listens there; two servers would share the port silently (SO_REUSEPORT) otherwise."""


def _check_port_is_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise _PortTaken(f"Cannot listen on {host}:{port} ({error.strerror}). Set another PORT.") from None


def _refuse(message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    return 1


def _run(env: Any, lock: DataLock, load: Callable[[], Application], started: float) -> int:
    """Hand over to Granian, which returns after a signal (0) or exits when its worker has died (1)."""
    from serving_site import leaving
    from serving_site.http_server import HttpServer

    supervisor = os.getpid()

    def load_in_worker() -> Application:
        become_worker(supervisor)
        lock.tell(pid=supervisor, worker=os.getpid(), url=env.URL)
        return load()

    server = HttpServer(env, lambda server: _announce(env, server, started))
    leaving.clear()
    try:
        with _traffic(env):
            server.serve_with(load_in_worker)
    except SystemExit as end:
        print("The worker process ended; so does the server.", file=sys.stderr, flush=True)
        return int(end.code or 0)
    return 0


@contextlib.contextmanager
def _traffic(env: Any) -> Iterator[None]:
    """Demo traffic from a process of its own, where TRAFFIC asks for it; it ends with this one, even a killed one."""
    if not env.TRAFFIC:
        yield
        return
    own = {name: value for name, value in os.environ.items() if name != METRICS_FOLDER}
    command = [sys.executable, str(env.ROOT / "manage.py"), "traffic", "--follow"]
    process = subprocess.Popen(command, env={**own, "SERVING_ROLE": "traffic"}, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(TRAFFIC_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _announce(env: Any, server: Any, started: float) -> None:
    """Print the banner once the server answers; a thread, because Granian's loop has the main one."""
    threading.Thread(
        target=banner.print_when_ready, args=(env, started, lambda: bool(server.interrupt_signal)), daemon=True
    ).start()


def become_worker(supervisor: int) -> None:
    """Tie this process to its supervisor's life, and leave the terminal's signals to it."""
    # Until Granian's handlers are set after loading, a SIGTERM ends the process at once: nothing runs in it yet.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Ctrl-C reaches the foreground group: the supervisor alone, which asks for a drain; model processes never see it.
    os.setpgid(0, 0)
    die_with_parent()
    threading.Thread(target=_follow, args=(supervisor,), name="follow-supervisor", daemon=True).start()


def _follow(supervisor: int) -> None:
    """End when the supervisor has: the kernel says so on Linux, except when it died before it was asked to."""
    while os.getppid() == supervisor:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
