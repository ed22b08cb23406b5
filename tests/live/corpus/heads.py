"""What stands above the body: headers, hosts."""

from __future__ import annotations

from collections.abc import Iterator

from tests.live.corpus.wire import CLIENT, DOORS, GOOD, Case, request


def headers() -> Iterator[Case]:  # long: a list
    ok = frozenset({200, 201, *CLIENT})
    for path, door in DOORS.items():
        good = GOOD[path]
        for name, extra in {
            "of 64 KiB": ["X-Long: " + "a" * 65_536],
            "of 1 MiB": ["X-Long: " + "a" * 2**20],
            "a thousand": [f"X-{i}: {i}" for i in range(1_000)],
            "ten thousand": [f"X-{i}: {i}" for i in range(10_000)],
            "a long name": ["X-" + "a" * 70_000 + ": 1"],
            "no colon": ["JustWords"],
            "no name": [": value"],
            "blank before colon": ["X-A : 1"],
            "folded": ["X-A: 1\r\n  folded"],
            "bare CR": ["X-A: 1\rX-B: 2"],
            "bare LF": ["X-A: 1\nX-B: 2"],
            "NUL": ["X-A: a\x00b"],
            "latin": ["X-A: \xe9\xff"],
            "split": ["X-A: 1\r\nContent-Length: 0"],
            "underscores": ["Content_Length: 0", "X_Forwarded_For: 10.0.0.1"],
            "forwarded": ["X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"],
            "many forwarded": ["X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 5_000)],
            "method override": ["X-HTTP-Method-Override: DELETE", "X-Method-Override: PUT"],
            "expect": ["Expect: 100-continue"],
            "expect nonsense": ["Expect: 200-ok"],
            "upgrade": ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
            "upgrade h2c": ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
            "authorization empty": ["Authorization:"],
            "authorization nonsense": ["Authorization: Bearer"],
            "authorization basic": ["Authorization: Basic OjpvOg=="],
            "authorization long": ["Authorization: Bearer " + "x" * 10_000],
            "authorization latin": ["Authorization: Bearer \xff\xfe"],
            "authorization twice": ["Authorization: Bearer a", "Authorization: Bearer b"],
            "cookie nonsense": ["Cookie: sessionid=\xff; =; ;;;a"],
            "cookie long": ["Cookie: " + "a=b; " * 8_000],
            "accept nonsense": ["Accept: ;;;q=x, */*;q=nan"],
            "accept impossible": ["Accept: application/vnd.unknown"],
            "accept encoding nonsense": ["Accept-Encoding: ,,;q=-1,gzip;q=2"],
            "binary length negative": ["Inference-Header-Content-Length: -1"],
            "binary length beyond": ["Inference-Header-Content-Length: 99999999"],
            "binary length words": ["Inference-Header-Content-Length: ten"],
            "binary length empty": ["Inference-Header-Content-Length:"],
            "binary length zero": ["Inference-Header-Content-Length: 0"],
            "binary length digits": ["Inference-Header-Content-Length: " + "9" * 5_000],
            "binary length other digits": ["Inference-Header-Content-Length: \xb2\xb3"],
            "prefer nonsense": ["Prefer: wait=forever"],
            "prefer negative": ["Prefer: wait=-1"],
            "prefer huge": ["Prefer: wait=" + "9" * 5_000],
            "prefer fraction": ["Prefer: wait=1e3"],
            "prefer other digits": ["Prefer: wait=\xb2"],
            "cancel after nonsense": ["Cancel-After: soon"],
            "cancel after huge": ["Cancel-After: " + "9" * 400 + "d"],
            "idempotency long": ["Idempotency-Key: " + "k" * 257],
            "idempotency empty": ["Idempotency-Key:"],
            "idempotency latin": ["Idempotency-Key: \xff"],
            "idempotency controls": ["Idempotency-Key: a\x07b"],
            "request id long": ["X-Request-Id: " + "r" * 5_000],
            "range": ["Range: bytes=0-1"],
            "if match": ['If-Match: "x"'],
        }.items():
            yield Case(f"{door} header {name}", request(path, good, *extra), ok, path=path)


def hosts() -> Iterator[Case]:  # long: a list
    refused = frozenset({0, 400, 403, 421})
    for path, door in DOORS.items():
        good = GOOD[path]
        for host in (
            *("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil.example:80", "localhost.evil"),
            *("127.0.0.1/..", "a b", "[::2]", "[", "..", "*", "\xe9", "127.1", "0x7f.1"),
        ):
            yield Case(f"{door} host {host}", request(path, good, host=host), refused, path=path)
        yield Case(f"{door} host long", request(path, good, host="a" * 5_000), refused, path=path)
        yield Case(f"{door} host absent", request(path, good, host=None), refused, path=path)
        yield Case(f"{door} host empty", request(path, good, host=""), refused, path=path)
        yield Case(f"{door} host twice", request(path, good, "Host: evil.example"), refused, path=path)
        yield Case(f"{door} origin", request(path, good, "Origin: https://evil.example"), frozenset({403}), path=path)
        yield Case(f"{door} cross site", request(path, good, "Sec-Fetch-Site: cross-site"), frozenset({403}), path=path)
