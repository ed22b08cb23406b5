"""Raw requests that no client library would send: (name, bytes on the wire, what may come back).

A status of 0 means that the server closed the connection without an answer, which HTTP allows for what is no HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass

INFER = "/v2/models/iris/infer"
PREDICTIONS = "/v1/predictions"
MODELS = "/api/models"
DOORS = {INFER: "v2", PREDICTIONS: "v1"}

#: The client's own faults, and the two refusals that are not about the request.
CLIENT = frozenset(
    {0, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415, 417, 421, 422, 429, 431, 501, 503, 505}
)
BAD = frozenset({400, 422})
GONE = frozenset({0, 400, 404, 405})

GOOD = {
    INFER: b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP64","data":[5.1,3.5,1.4,0.2]}]}',
    PREDICTIONS: b'{"model":"iris","input":{"instances":[[5.1,3.5,1.4,0.2]]}}',
}


@dataclass(frozen=True, slots=True)
class Case:
    """`send` is written in one go; `half_close` ends our side then, for what the server would wait to see the end of.

    A server may leave without an answer then. `path` tells in whose shape an error must be.
    """

    name: str
    send: bytes
    expected: frozenset[int] = CLIENT
    half_close: bool = False
    path: str = ""


def request(
    path: str,
    body: bytes = b"",
    *headers: str,
    method: str = "POST",
    host: str | None = "127.0.0.1",
    length: int | str | None = -1,
    content_type: str | None = "application/json",
    version: str = "HTTP/1.1",
) -> bytes:
    """One request with `Connection: close`; `length` -1 is the truth, None leaves the header out."""
    lines = [f"{method} {path} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    lines += [*headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
