"""A real server (`manage.py serve`, supervisor and worker process) to test against; used by live, browser, chaos.

    with prepared_server(folder) as server:
        status, headers, body = server.request("GET", "/v2/health/ready")
        answer = server.post("/v2/models/iris/infer", {"inputs": [...]})       # JSON in, (status, JSON) out
        server.kill(server.worker); server.start()                             # the data folder stays

Demo models are trained once and their data folder is copied from then on, so a server is up within seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serving_site.stack.server import free_port

ROOT = Path(__file__).resolve().parent.parent
PREPARE_LIMIT_S = 180.0
READY_LIMIT_S = 60.0
#: How long a prepared folder of other code is kept.
KEPT_S = 86_400.0
#: How long a client that is refused asks again.
ACCEPTED_LIMIT_S = 15.0
#: Nothing of the developer's own environment reaches a server under test.
OURS = (
    "DATA_DIR",
    "HOST",
    "PORT",
    "DATABASE_URL",
    "RABBITMQ_URL",
    "REDIS_URL",
    "REDIS_RESULTS_URL",
    "ARTIFACT_URL",
    "ELASTICSEARCH_URL",
    "SERVING_ROLE",
    "DJANGO_SETTINGS_MODULE",
)


class Server:
    """One server on a free port with its own data folder; `environment` sets its variables."""

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str] | None = None, command: list[str] | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._environment = clean_environment(folder, PORT=str(self.port), **(environment or {}))
        self._command = command or [sys.executable, str(ROOT / "manage.py"), "serve"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def credentials(self) -> dict[str, Any]:
        """`{"project", "admin": {"user", "password"}, "api_key"}`"""
        return dict(json.loads((self.folder / "credentials.json").read_text()))

    @property
    def key(self) -> str:
        """An API key of project demo with scopes predict, read, publish, manage."""
        return str(self.credentials["api_key"])

    @property
    def supervisor(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def worker(self) -> int:
        """Process id of the worker process; 0 while there is none."""
        try:
            facts = json.loads((self.folder / "lock").read_text())
        except ValueError:
            return 0
        return int(facts.get("worker", 0)) if facts.get("pid") == self.supervisor else 0

    @property
    def pids(self) -> tuple[int, int]:
        return self.supervisor, self.worker

    def start(self, *, limit: float = READY_LIMIT_S) -> float:
        """Start it and wait until it is ready; return the seconds that took."""
        begun = time.monotonic()
        self.launch()
        self.wait_ready(limit=limit)
        return time.monotonic() - begun

    def launch(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_ready(self, *, limit: float = READY_LIMIT_S) -> None:
        end = time.monotonic() + limit
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.tail()}")
            with contextlib.suppress(OSError):
                if self.request("GET", "/health/ready", timeout=2)[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready within {limit} s:\n{self.tail()}")

    def stop(self, *, limit: float = 40.0) -> int:
        """SIGTERM, wait for the drain, return the exit status; kills what is left after `limit` seconds."""
        process = self._process
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill(self.supervisor, self.worker)
            raise AssertionError(f"did not end within {limit} s of SIGTERM:\n{self.tail()}") from None

    def wait(self, *, limit: float = 40.0) -> int:
        """Wait until it has ended by itself; return its exit status."""
        assert self._process is not None, "not started"
        return self._process.wait(limit)

    def kill(self, *pids: int) -> None:
        """kill -9, then reap the supervisor, which ends with whichever was killed."""
        for pid in pids:
            if pid > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 35.0,
    ) -> tuple[int, dict[str, str], bytes]:
        """One call on a connection of its own, without a key unless `headers` has one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """GET with the demo key; (status, JSON)."""
        status, _, body = self.request("GET", path, headers=self._headers(headers))
        return status, json.loads(body) if body else None

    def post(self, path: str, document: Any = None, **headers: str) -> tuple[int, Any]:
        """POST JSON with the demo key; (status, JSON). Headers as keywords: `Prefer="wait"`."""
        body = b"" if document is None else json.dumps(document).encode()
        sent = {"Content-Type": "application/json", **self._headers(headers)}
        status, _, answer = self.request("POST", path, body, sent)
        return status, json.loads(answer) if answer else None

    def accepted(self, document: Any, **headers: str) -> str:
        """Queue a prediction as clients are told to, who ask again after a 503; its id."""
        end = time.monotonic() + ACCEPTED_LIMIT_S
        while (found := self.post("/v1/predictions", document, **headers))[0] == 503 and time.monotonic() < end:
            time.sleep(0.5)
        status, answer = found
        assert status in (201, 202), answer
        return str(answer["id"])

    def upload(self, name: str, model: bytes, *, alias: str | None = None) -> tuple[int, Any]:
        """Publish an ONNX file over HTTP with the demo key; (status, JSON), which does not wait for the end of it."""
        parts = {f'name="file"; filename="{name}.onnx"': model, **({'name="alias"': alias.encode()} if alias else {})}
        lines = (b"--part\r\nContent-Disposition: form-data; " + head.encode() for head in parts)
        body = b"".join(line + b"\r\n\r\n" + part + b"\r\n" for line, part in zip(lines, parts.values(), strict=True))
        headers = self._headers({"Content-Type": "multipart/form-data; boundary=part"})
        status, _, answer = self.request("POST", f"/api/models/{name}/versions", body + b"--part--\r\n", headers)
        return status, json.loads(answer)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return {"Authorization": f"Bearer {self.key}", **given}


def clean_environment(folder: Path, **settings: str) -> dict[str, str]:
    """The environment of a process of ours that works on `folder`; one process, whatever cores there are."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", "SERVER_PROCESSES": "1", **settings}


def run_program(program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a process of their own, with the site's settings; at most a minute."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "serving_site.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def prepared_folder() -> Path:
    """A data folder with tables, credentials and the demo models; made once per state of the code, then only read."""
    cache = Path(tempfile.gettempdir()) / f"serving-blueprint-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    wanted = cache / _code_digest()
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            for old in cache.iterdir():
                # Another checkout of other code may run beside this one.
                if old.is_dir() and time.time() - old.stat().st_mtime > KEPT_S:
                    shutil.rmtree(old, ignore_errors=True)
            draft = cache / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            _prepare(draft)
            draft.rename(wanted)
    return wanted


def _prepare(folder: Path) -> None:
    folder.mkdir()
    code = "from serving_site import env, prepared; prepared.ensure(env)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(folder),
        timeout=PREPARE_LIMIT_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"preparing failed:\n{ended.stdout}\n{ended.stderr}"


def _code_digest() -> str:
    """Digest of the code that decides what a prepared folder holds."""
    registry, commands = ROOT / "models_registry", ROOT / "serving_site/management/commands"
    files = [ROOT / "requirements.txt", commands / "quickstart.py", commands / "prepare.py"]
    for folder in ("models", "publishing", "runtime"):
        files += sorted((registry / folder).rglob("*.py"))
    files += [*sorted(ROOT.glob("*/migrations/*.py")), *sorted((registry / "demo").glob("*.*"))]
    seen = hashlib.sha256()
    for file in filter(Path.exists, files):
        seen.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return seen.hexdigest()[:16]


@contextlib.contextmanager
def prepared_server(folder: Path, **options: Any) -> Iterator[Server]:
    """A started server on a copy of the prepared folder; stopped, or killed, at the end."""
    shutil.copytree(prepared_folder(), folder, dirs_exist_ok=True)
    server = Server(folder, **options)
    server.start()
    try:
        yield server
    finally:
        if server.running():
            server.stop()
