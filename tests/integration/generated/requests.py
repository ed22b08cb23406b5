"""Requests as Hypothesis makes them: mostly right, then wrong in one or two places, then with broken bytes."""

from __future__ import annotations

import gzip
import json
import math
import struct
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

#: Pieces that replace bytes of a document.
SHRAPNEL = st.sampled_from(
    [
        *(
            b"NaN",
            b"Infinity",
            b"1e400",
            b"[" * 70,
            b"\\u0000",
            b"\\ud800",
            b"\xff",
            b"\x00",
            b"\xef\xbb\xbf",
            b"{}",
            b'"',
        ),
        *(
            b",",
            b"]",
            b"}",
            b"-",
            b"9" * 30,
            b"9" * 5000,
            b'"id":1,',
            b'"id":"x","id":"y",',
            b"null",
            b"true",
            b"\\",
            b"",
        ),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**300, 1e39, -0.0, 5e-324, 1.7976931348623157e308]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abx/~", max_size=3), inner, max_size=3),
)
WORDS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
NUMBERS = st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `document` is what the body says, None where its bytes were changed afterwards."""

    body: bytes
    headers: dict[str, str]
    document: Any = None


@st.composite
def infer(draw: st.DrawFn) -> Sent:
    """A request for the member `text` of the cast: columns `word` (BYTES) and `number` (FP64), both nullable."""
    rows = draw(st.integers(0, 4))
    words, numbers = draw(st.lists(WORDS, min_size=rows, max_size=rows)), draw(_some(NUMBERS, rows))
    document: dict[str, Any] = {
        "inputs": [_tensor(draw, "word", "BYTES", words), _tensor(draw, "number", "FP64", numbers)]
    }
    if draw(st.booleans()):
        document["inputs"].reverse()
    if draw(st.booleans()):
        names = st.sampled_from(["echo", "value"] * 4 + ["label", ""])
        document["outputs"] = [{"name": name} for name in draw(st.lists(names, max_size=3))]
    for name in draw(st.lists(st.sampled_from(["id", "parameters", "outputs"]), max_size=2)):
        document[name] = draw(
            st.none() | (st.text("abc", max_size=3) if name == "id" else st.just({} if name[0] == "p" else []))
        )
    if draw(st.integers(0, 2)) == 0:
        _spoil(draw, document)
    return _sent(draw, document)


@st.composite
def binary_infer(draw: st.DrawFn) -> Sent:
    """The same with binary tensors, whose sizes, shapes and header may lie."""
    rows = draw(st.integers(0, 3))
    number = b"".join(struct.pack("<d", value) for value in draw(_some(st.floats(), rows)))
    texts = [text.encode() for text in draw(_some(st.text("aé", max_size=4), rows))]
    word = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    inputs = []
    for name, datatype, data in (("word", "BYTES", word), ("number", "FP64", number)):
        size = len(data) if draw(st.integers(0, 5)) else draw(st.integers(-2, 40) | st.none() | st.text(max_size=2))
        shape = [rows, 1] if draw(st.integers(0, 5)) else draw(st.lists(st.integers(-1, 2**64), max_size=3))
        inputs.append({"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": draw(st.booleans())}}).encode()
    tail = word + number
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(tail)))
        tail = tail[:at] + draw(st.binary(max_size=6)) + tail[at + draw(st.integers(0, 3)) :]
    told = str(len(head)) if draw(st.integers(0, 5)) else draw(st.sampled_from(["0", "-1", "x", "", "9" * 30, "1"]))
    return Sent(head + tail, {"Inference-Header-Content-Length": told, "Content-Type": "application/octet-stream"})


@st.composite
def prediction(draw: st.DrawFn) -> Sent:
    """A request for a queued prediction of the same member, rows as objects or lists."""
    row = st.one_of(
        st.fixed_dictionaries({}, optional={"word": WORDS, "number": NUMBERS}), st.tuples(WORDS, NUMBERS).map(list)
    )
    instances: Any = draw(st.lists(row, max_size=4))
    if draw(st.booleans()) and instances:
        instances = [item for item in instances if type(item) is type(instances[0])]
    document: dict[str, Any] = {"model": "text", "input": {"instances": instances}}
    if draw(st.integers(0, 4)) == 0:
        document["priority"] = draw(st.sampled_from(["bulk", "standard", "interactive", "now", None]))
    if draw(st.integers(0, 2)) == 0:
        _spoil(draw, document)
    sent = _sent(draw, document)
    for name in draw(
        st.lists(st.sampled_from(["Prefer", "Cancel-After", "Idempotency-Key", "X-Request-Id"]), max_size=1)
    ):
        sent.headers[name] = draw(
            st.sampled_from(["", "wait=0", "wait=x", "respond-async", "60s", "-1", "\xb2", "k" * 300, "k1"])
        )
    return sent


def _some(element: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(element, min_size=count, max_size=count)


def _tensor(draw: st.DrawFn, name: str, datatype: str, values: list[Any]) -> dict[str, Any]:
    nested = draw(st.booleans())
    shape = [len(values)] if draw(st.integers(0, 3)) == 0 else [len(values), 1]
    return {"name": name, "datatype": datatype, "shape": shape, "data": [[v] for v in values] if nested else values}


def _spoil(draw: st.DrawFn, document: Any) -> None:
    """Replace, remove or add something somewhere."""
    for _ in range(draw(st.integers(1, 2))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from([*keys, None])) if keys else None
            deeper = key is not None and isinstance(place[key], (dict, list)) and draw(st.integers(0, 3))
            if not deeper:
                break
            place = place[key]
        if isinstance(place, list):
            place.insert(0 if key is None else key, draw(JUNK))
        elif key is None:
            place[
                draw(
                    st.sampled_from(["x", "id", "name", "data", "shape", "outputs", "parameters", "version", "stream"])
                )
            ] = draw(JUNK)
        elif draw(st.booleans()):
            place[key] = draw(JUNK)
        else:
            del place[key]


def _sent(draw: st.DrawFn, document: Any) -> Sent:
    body = json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/json"}
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(SHRAPNEL) + body[at + draw(st.integers(0, 3)) :]
        return Sent(body, headers)
    if draw(st.integers(0, 9)) == 0:
        headers["Content-Encoding"] = "gzip"
        return Sent(gzip.compress(body, mtime=0), headers, document)
    return Sent(body, headers, document)


# The judge: which requests are right, and what the member answers, in plain Python. ---------------------------


class Refused(Exception):
    pass


def right_answer(document: Any) -> dict[str, list[Any]]:
    """Outputs of the member for a document of `infer`; raises `Refused` where it is none. Written from the protocol."""
    _require(isinstance(document, dict))
    for name, kinds in (("id", str), ("parameters", dict)):
        _require(document.get(name) is None or isinstance(document[name], kinds))
    inputs = document.get("inputs")
    _require(isinstance(inputs, list) and all(isinstance(item, dict) for item in inputs))
    _require(sorted(str(item.get("name")) for item in inputs) == ["number", "word"])
    columns = {item["name"]: _values(item) for item in inputs}
    _require(len(columns["word"]) == len(columns["number"]) >= 1)
    for word in columns["word"]:
        _require(word is None or isinstance(word, str))
    answer = {
        "echo": ["missing" if word is None else word for word in columns["word"]],
        "value": [_number(value) for value in columns["number"]],
    }
    wanted = document.get("outputs")
    if wanted in (None, []):
        return answer
    _require(isinstance(wanted, list) and all(isinstance(item, dict) for item in wanted))
    names = [item.get("name") for item in wanted]
    _require(all(isinstance(name, str) and name in answer for name in names) and len(set(names)) == len(names))
    _require(all(isinstance(item.get("parameters", {}), (dict, type(None))) for item in wanted))
    return {name: answer[name] for name in names}


def right_instances(document: Any) -> int:
    """Number of instances of a document of `prediction`; raises `Refused`."""
    _require(isinstance(document, dict) and set(document) <= {"model", "version", "input", "priority", "stream"})
    _require(document.get("model") == "text" and document.get("version") is None)
    _require(document.get("priority") in (None, "bulk", "standard", "interactive"))
    _require(document.get("stream") is None or document["stream"] is False)
    given = document.get("input")
    _require(isinstance(given, dict) and set(given) == {"instances"} and isinstance(given["instances"], list))
    rows = given["instances"]
    _require(bool(rows) and len({type(row) for row in rows}) == 1)
    for row in rows:
        _require(isinstance(row, (dict, list)))
        if isinstance(row, list):
            _require(len(row) == 2)
            row = {"word": row[0], "number": row[1]}
        _require(set(row) <= {"word", "number"})
        word = row.get("word")
        _require(word is None or isinstance(word, str))
        _number(row.get("number"))
    return len(rows)


def _values(tensor: dict[str, Any]) -> list[Any]:
    shape, data = tensor.get("shape"), tensor.get("data")
    _require(tensor.get("datatype") == {"word": "BYTES", "number": "FP64"}[tensor["name"]])
    _require(tensor.get("parameters") is None or isinstance(tensor["parameters"], dict))
    _require(isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape))
    _require(len(shape) in (1, 2) and shape[1:] in ([], [1]) and isinstance(data, list) and len(data) == shape[0])
    nested = [isinstance(item, list) for item in data]
    _require(len(set(nested)) <= 1)
    if nested and nested[0]:
        _require(all(len(item) == 1 for item in data))
        data = [item[0] for item in data]
    return data


def _number(value: Any) -> float:
    if value is None:
        return 0.0
    _require(type(value) in (int, float))
    try:
        _require(math.isfinite(float(value)))
    except OverflowError:
        raise Refused from None
    return float(value)


def _require(holds: Any) -> None:
    if not holds:
        raise Refused
