"""What is sent: media types, codings, documents that are no strict JSON."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from tests.live.corpus.wire import BAD, DOORS, GOOD, PREDICTIONS, Case, request


def types() -> Iterator[Case]:  # long: a list
    good = dict(GOOD)
    bodies = {
        "application/x-www-form-urlencoded": b"a=1&b=2",
        "multipart/form-data": b"--x\r\n\r\n--x--",
        "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 10_000
        + b"--x--",
        "multipart/form-data; boundary=" + "b" * 3_000: b"--" + b"b" * 3_000,
        "application/xml": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "application/yaml": b"!!python/object/apply:os.system [id]",
        "application/vnd.bentoml+pickle": b"\x80\x04K\x01.",
        "application/octet-stream": b"\x80\x04K\x01.",
        "application/x-pickle": b"cos\nsystem\n(S'id'\ntR.",
        "text/plain": b"5.1,3.5,1.4,0.2",
        "text/csv": b"a,b\n1,2\n",
        "application/json; charset=utf-16": '{"a": 1}'.encode("utf-16"),
        "application/json; charset=utf-7": b"+AHsAfQ-",
        "application/json; charset=nonsense": b"{]",
        "application/x-ndjson": b"{}\n{}\n",
        "nonsense": b"nonsense",
        "; ; ;": b"{]",
        "": b"",
        "application/json\x00": b"{]",
    }
    for path, door in DOORS.items():
        for kind, body in bodies.items():
            yield Case(f"{door} type {kind[:40]!r}", request(path, body, content_type=kind), path=path)
        yield Case(f"{door} type absent", request(path, b"{", content_type=None), frozenset({400, 415, 422}), path=path)
        yield Case(f"{door} type unusual", request(path, good[path], content_type="text/json"), frozenset({200, 415}))


def encodings() -> Iterator[Case]:  # long: a list
    bomb = gzip.compress(b" " * 64 * 2**20)
    zbomb = zlib.compress(b"[" * 64 * 2**20)
    for path, door in DOORS.items():
        good = GOOD[path]
        too_large = frozenset({413})
        for name, coding, body, expected in (
            ("gzip bomb", "gzip", bomb, too_large),
            ("deflate bomb", "deflate", zbomb, too_large),
            ("gzip of a bomb", "gzip", gzip.compress(bomb), frozenset({400, 413, 422})),
            ("gzip cut short", "gzip", gzip.compress(good)[:-12], BAD),
            ("gzip with a bad sum", "gzip", gzip.compress(good)[:-8] + b"\0" * 8, BAD),
            ("gzip that is none", "gzip", good, BAD),
            ("gzip with rubbish behind", "gzip", gzip.compress(good) + b"rubbish", BAD),
            ("gzip of nothing", "gzip", gzip.compress(b""), BAD),
            ("gzip empty", "gzip", b"", frozenset({400, 411, 422})),
            ("gzip header only", "gzip", gzip.compress(good)[:10], BAD),
            ("gzip of many members", "gzip", gzip.compress(b" ") * 20_000, BAD),
            ("deflate that is none", "deflate", good, BAD),
            ("deflate cut short", "deflate", zlib.compress(good)[:-4], BAD),
            ("brotli", "br", b"\x0b\x02\x80{}\x03", frozenset({415})),
            ("zstd", "zstd", b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}", frozenset({415})),
            ("stacked", "gzip, gzip", gzip.compress(gzip.compress(good)), frozenset({415})),
            ("nonsense", "\x7f;", good, frozenset({0, 400, 415})),
            ("compress", "compress", good, frozenset({415})),
        ):
            sent = request(path, body, f"Content-Encoding: {coding}")
            yield Case(f"{door} coding {name}", sent, expected, path=path)
        two = request(path, gzip.compress(good), "Content-Encoding: gzip", "Content-Encoding: gzip")
        yield Case(f"{door} coding twice", two, path=path)


DOCUMENTS = {
    "open lists": b"[" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "deep lists": b"[" * 5_000 + b"]" * 5_000,
    "65 levels": b'{"inputs":' * 65 + b"1" + b"}" * 65,
    "empty lists": b"[" + b"[]," * 300_000 + b"[]]",
    "a million elements": b"[" + b"1," * 1_000_000 + b"1]",
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}",
    "duplicate keys": b"{" + b",".join([b'"k":1'] * 100_000) + b"}",
    "a long key": b'{"' + b"k" * 1_000_000 + b'":1}',
    "digits": b'{"inputs":' + b"9" * 1_000_000 + b"}",
    "NaN": b"NaN",
    "Infinity": b'{"inputs":[-Infinity]}',
    "1e400": b'{"inputs":[1e400]}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "a BOM": b"\xef\xbb\xbf{}",
    "bad UTF-8": b'{"\xff": 1}',
    "overlong UTF-8": b'{"\xc0\xaf": 1}',
    "encoded surrogates": b'{"\xed\xa0\x80": 1}',
    "a lone surrogate": b'{"\\ud800": 1}',
    "NUL": b'{"a": "\\u0000"}',
    "NUL in a key": b'{"\\u0000": 1}',
    "control characters": b'{"a": "\x01"}',
    "a string": b'"text"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a list": b"[]",
    "an object": b"{}",
    "two documents": b"{}{}",
    "a comment": b"{} // a",
    "single quotes": b"{'a': 1}",
    "cut short": b'{"inputs": [{"name": "in',
    "blanks": b" " * 100_000,
    "binary": bytes(range(256)),
}


def documents() -> Iterator[Case]:  # long: a list
    for path, door in DOORS.items():
        for name, body in DOCUMENTS.items():
            yield Case(f"{door} document {name}", request(path, body), BAD, path=path)
    for name, body in DOCUMENTS.items():
        sent = request("/v1/models/demo/iris/predictions", body)
        yield Case(f"v1 model document {name}", sent, BAD, path=PREDICTIONS)
