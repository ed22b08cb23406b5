"""Where a request begins and ends: lengths, chunks, versions, halves."""

from __future__ import annotations

from collections.abc import Iterator

from tests.live.corpus.wire import CLIENT, DOORS, GOOD, INFER, Case, request


def lengths() -> Iterator[Case]:
    for path, door in DOORS.items():
        good = GOOD[path]
        for name, length in {
            "short": len(good) - 5,
            "zero": 0,
            "negative": -5,
            "signed": f"+{len(good)}",
            "hexadecimal": hex(len(good)),
            "float": f"{len(good)}.0",
            "words": "many",
            "blank": "",
            "twice in one": f"{len(good)}, {len(good)}",
            "beyond 64 bits": 2**64 + len(good),
            "beyond any": "9" * 400,
            "over the limit": 17 * 2**20,
            "over four gigabytes": 2**32 + 1,
            "absent": None,
        }.items():
            yield Case(f"{door} length {name}", request(path, good, length=length), half_close=True, path=path)
        yield Case(f"{door} length too long", request(path, good, length=len(good) + 50), half_close=True, path=path)
        yield Case(f"{door} lengths that differ", request(path, good, "Content-Length: 3"), half_close=True, path=path)
        yield Case(
            f"{door} length twice", request(path, good, f"Content-Length: {len(good)}"), half_close=True, path=path
        )
        yield Case(f"{door} empty body", request(path, b""), frozenset({400, 411, 422}), path=path)
        yield Case(
            f"{door} body over the limit", request(path, b" " * (16 * 2**20 + 1)), frozenset({0, 413}), path=path
        )


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def chunks() -> Iterator[Case]:
    coded = "Transfer-Encoding: chunked"
    for path, door in DOORS.items():
        good = GOOD[path]
        for name, body in {
            "honest": chunked(good),
            "of one byte": chunked(*[good[i : i + 1] for i in range(len(good))]),
            "65,537 of one byte": chunked(*[b" "] * 65_537),
            "of 32 MB": chunked(*[b" " * 2**20] * 32),
            "bad size": b"xyz\r\nabc\r\n0\r\n\r\n",
            "negative size": b"-5\r\nabc\r\n0\r\n\r\n",
            "huge size": b"fffffffffffffffff\r\nabc\r\n",
            "without an end": b"5\r\nabcde\r\n",
            "with trailers": chunked(good)[:-2] + b"X-Trailer: 1\r\n\r\n",
            "with extensions": b"5;" + b"a" * 5000 + b"\r\nabcde\r\n0\r\n\r\n",
        }.items():
            yield Case(
                f"{door} chunks {name}", request(path, body, coded, length=None), CLIENT, half_close=True, path=path
            )
        yield Case(
            f"{door} chunks and length",
            request(path, chunked(good), coded, length=len(good)),
            half_close=True,
            path=path,
        )
        for value in (
            "gzip, chunked",
            "identity",
            "chunked, chunked",
            "xchunked",
            " chunked",
            "chunked\t",
            "\x0bchunked",
        ):
            head = f"Transfer-Encoding: {value}"
            sent = request(path, chunked(good), head, length=None)
            yield Case(f"{door} transfer encoding {value!r}", sent, half_close=True, path=path)


def versions() -> Iterator[Case]:
    for version in ("HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3", "HTTP/x", "HTTPS/1.1", "", "HTTP/1.1 extra"):
        yield Case(f"version {version!r}", request(INFER, GOOD[INFER], version=version), frozenset({200, *CLIENT}))
    for name, sent in {
        "HTTP/0.9": b"GET /v2\r\n",
        "nothing": b"",
        "blank lines": b"\r\n" * 200,
        "NULs": b"\x00" * 2_000,
        "TLS hello": bytes.fromhex("1603010200010001fc0303") + b"\x11" * 500,
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
        "random bytes": bytes(range(256)) * 20,
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "long first line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        "no end of headers": b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        "LF only": b"GET /v2 HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n",
        "CR only": b"GET /v2 HTTP/1.1\rHost: 127.0.0.1\r\r",
        "absolute form": b"GET http://evil.example/v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "fragment": b"GET /v2#x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        "no path": b"GET HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "smuggled": request(
            INFER, GOOD[INFER] + b"GET /admin/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", length=len(GOOD[INFER])
        ),
    }.items():
        yield Case(f"wire {name}", sent, frozenset({200, 302, *CLIENT}), half_close=True)


def halves() -> Iterator[Case]:
    """Requests that end in the middle: the client goes away without a word."""
    for path, door in DOORS.items():
        whole = request(path, GOOD[path])
        head = whole.index(b"\r\n\r\n") + 4
        for cut in (1, 10, head // 2, head - 2, head - 1, head, head + 1, head + 20, len(whole) - 1):
            yield Case(f"{door} half after {cut} bytes", whole[:cut], CLIENT, half_close=True, path=path)
        yield Case(
            f"{door} half of a large body",
            request(path, b"[" * 1_000_000, length=8_000_000),
            CLIENT,
            half_close=True,
            path=path,
        )
