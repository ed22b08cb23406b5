"""What is asked for: paths, queries, methods."""

from __future__ import annotations

from collections.abc import Iterator

from tests.live.corpus.wire import CLIENT, GOOD, INFER, MODELS, PREDICTIONS, Case, request


def paths() -> Iterator[Case]:  # long: a list
    good = GOOD[INFER]
    for name in (
        *(
            "..%2firis",
            "%2e%2e",
            "%252e%252e",
            "iris%00",
            "iris%0a",
            "iris%0d%0aX: 1",
            "iris;a=1",
            "iris//",
            "/iris",
            ".",
        ),
        *(
            "..",
            "%",
            "%zz",
            "%ff%fe",
            "%ed%a0%80",
            "iris%2finfer",
            "iris\\",
            "iris\xe9",
            "ir%69s/../x",
            "%e2%88%95iris",
        ),
        *("IRIS", "iris.", "-iris", "iris ", "demo//iris", "demo/iris/x", "other/iris", "versions", "infer", "a" * 65),
        *("a" * 4096, "a" * 70_000, "iris/versions/", "iris/versions/99999999999999999999", "iris/versions/-1"),
        *(
            "iris/versions/%00",
            "iris/versions/0",
            "iris/versions/1.0",
            "iris/versions/" + "9" * 5_000,
            "iris/versions/nan",
        ),
        *(
            "iris/versions/\xb2",
            "iris/versions/versions/1",
            "iris/infer",
            "*",
            "'or'1'='1",
            "<script>",
            "${jndi:x}",
            "{iris}",
        ),
    ):
        sent = request(f"/v2/models/{name}/infer", good)
        yield Case(f"v2 name {name[:60]!r} {len(name)}", sent, frozenset({0, 400, 404, 405, 414, 431}))
    for path in (
        *(
            "/v1/predictions/nope",
            "/v1/predictions/%00",
            "/v1/predictions/" + "0" * 36,
            "/v1/predictions/..%2f..%2fetc",
        ),
        *("/v1/predictions/00000000-0000-0000-0000-000000000000", "/v1/predictions//cancel", "/v1/predictions/\xe9"),
        *(
            "/v1/predictions/{00000000-0000-0000-0000-000000000000}",
            "/v1/predictions/urn:uuid:0",
            "/v1/models/demo/%ff",
        ),
        *("/v1/models/demo/iris/versions/nope", "/v1/models/../iris", "/v1/models/demo/iris%00", "/api/models/%00"),
        *("/api/models/..%2f", "/api/records/nope", "/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/settings.py"),
        *("//evil.example/", "/%2f%2fevil.example", "/" + "a/" * 4_000, "/v2/models/iris/versions", "/v2/health/nope"),
    ):
        sent = request(path, method="GET", length=None, content_type=None)
        yield Case(f"GET {path[:60]!r} {len(path)}", sent, frozenset({0, 400, 401, 403, 404, 405, 414, 431}))
    for query in (
        *(
            "cursor=%00",
            "cursor=" + "a" * 5_000,
            "cursor=%ff%fe",
            "cursor=-1",
            "cursor=bnVsbA==",
            "cursor[]=1",
            "limit=-1",
        ),
        *("limit=1000000000", "limit=nan", "status=%00", "model=%00", "since=yesterday", "since=%00"),
        *(
            "until=9999999999-01-01",
            "since=0001-01-01T00:00:00%2B23:59",
            "&&&===",
            "%00=%00",
            "a" * 30_000,
        ),
        "&".join(f"a{i}=1" for i in range(3_000)),
    ):
        for path in (PREDICTIONS, "/api/records", "/api/models"):
            sent = request(f"{path}?{query}", method="GET", length=None, content_type=None)
            yield Case(f"GET {path}?{query[:40]} {len(query)}", sent, frozenset({200, *CLIENT}), path=path)


def methods() -> Iterator[Case]:  # long: a list
    ways = frozenset({0, 200, 302, 400, 401, 403, 404, 405, 411, 415, 501})
    for path in (INFER, PREDICTIONS, MODELS, "/v2", "/health/live", "/metrics", "/admin/", "/nowhere"):
        for method in (
            "PUT",
            "PATCH",
            "DELETE",
            "OPTIONS",
            "TRACE",
            "HEAD",
            "CONNECT",
            "PROPFIND",
            "get",
            "G\xcbT",
            "A" * 300,
        ):
            body = GOOD.get(path, b"{}")
            yield Case(f"{method[:20]} {path}", request(path, body, method=method), ways, path=path)
