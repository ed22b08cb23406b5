"""The doors of the server, called in process as a WSGI server calls them."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIHandler

from predictions import later


def call(
    application: Any,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    method: str = "POST",
    more: Mapping[str, Any] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One request through a WSGI callable, as a server calls it; `more` goes into its environment."""
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **(more or {}),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    told: list[Any] = []
    parts = application(environ, lambda status, given, exc_info=None: told.append((status, given)))
    content = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    status, given = told[0]
    return int(status.split()[0]), {name.lower(): value for name, value in given}, content


def call_later(
    application: Any, path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST"
) -> tuple[bool, int, dict[str, str], bytes]:
    """The same by a server that can answer after the call has returned; first, whether it was asked to."""
    told: list[tuple[int, dict[str, str], bytes]] = []
    sent = threading.Event()

    def send(status: int, given: list[tuple[str, str]], content: bytes) -> None:
        told.append((status, {name.lower(): value for name, value in given}, content))
        sent.set()

    def taken(environ: Any, start_response: Any) -> Any:
        body = application(environ, start_response)
        if body is not later.LATER:
            return body
        assert sent.wait(10), "nothing was sent"
        start_response("599 Sent Later", [])
        return []

    found = call(taken, path, body, headers, method=method, more={later.OFFER: lambda: send})
    assert len(told) == (found[0] == 599), "sent once by one of the two ways"
    return (True, *told[0]) if told else (False, *found)


def lane() -> Any:
    from serving_site.wsgi import application

    return application


def view() -> Any:
    """Django without the lane in front of it."""
    return WSGIHandler()
