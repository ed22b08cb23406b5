"""Documents that are JSON and no request, or that do not fit the model."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.live.corpus.wire import INFER, PREDICTIONS, Case, request


def _tensor(**changes: object) -> bytes:
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [tensor]}).encode()


def shapes() -> Iterator[Case]:  # long: a list
    for name, body in {
        "short": _tensor(shape=[2, 4]),
        "product of 2**64": _tensor(shape=[2**62, 4]),
        "negative": _tensor(shape=[-1, 4]),
        "floats": _tensor(shape=[1.0, 4]),
        "true": _tensor(shape=[True, 4]),
        "text": _tensor(shape="[1,4]"),
        "null": _tensor(shape=None),
        "empty": _tensor(shape=[]),
        "zero rows": _tensor(shape=[0, 4], data=[]),
        "rank": _tensor(shape=[1, 4, 1]),
        "ragged": _tensor(shape=[2, 2], data=[[1, 2], [3]]),
        "text element": _tensor(data=[1, 2, 3, "4"]),
        "bool element": _tensor(data=[1, 2, 3, True]),
        "null element": _tensor(data=[1, 2, 3, None]),
        "nested object": _tensor(data=[{}, {}, {}, {}]),
        "data object": _tensor(data={"0": 1}),
        "data null": _tensor(data=None),
        "other datatype": _tensor(datatype="INT64"),
        "unknown datatype": _tensor(datatype="FP31"),
        "datatype number": _tensor(datatype=32),
        "datatype list": _tensor(datatype=["FP64"]),
        "other name": _tensor(name="x"),
        "name number": _tensor(name=1),
        "name null": _tensor(name=None),
        "name list": _tensor(name=["input"]),
        "million rows": _tensor(shape=[250_000, 4], data=[0] * 1_000_000),
        "binary size without header": _tensor(data=None, parameters={"binary_data_size": 16}),
        "binary size nonsense": _tensor(parameters={"binary_data_size": "x"}),
        "parameters list": _tensor(parameters=[]),
        "input twice": json.dumps({"inputs": [json.loads(_tensor())["inputs"][0]] * 2}).encode(),
        "inputs object": b'{"inputs": {}}',
        "inputs empty": b'{"inputs": []}',
        "inputs of numbers": b'{"inputs": [1]}',
        "inputs null": b'{"inputs": null}',
        "outputs object": _tensor()[:-1] + b', "outputs": {}}',
        "outputs unknown": _tensor()[:-1] + b', "outputs": [{"name": "x"}]}',
        "outputs of numbers": _tensor()[:-1] + b', "outputs": [1]}',
        "outputs nameless": _tensor()[:-1] + b', "outputs": [{}]}',
        "id number": _tensor()[:-1] + b', "id": 1}',
        "id object": _tensor()[:-1] + b', "id": {}}',
        "parameters number": _tensor()[:-1] + b', "parameters": 1}',
    }.items():
        expected = frozenset({400, 413})
        yield Case(f"v2 tensor {name}", request(INFER, body), expected, path=INFER)
    for name, instances in {
        "none": [],
        "object": {},
        "text": "text",
        "null": None,
        "null row": [None],
        "scalar": [1],
        "short": [[1, 2, 3]],
        "ragged": [[1, 2, 3, 4], [1]],
        "text element": [[1, 2, 3, "4"]],
        "bool element": [[1, 2, 3, True]],
        "null element": [[1, 2, 3, None]],
        "too large": [[1, 2, 3, 10**400]],
        "unknown column": [{"x": 1}],
        "mixed": [[1, 2, 3, 4], {}],
        "million": [0] * 1_000_000,
        "20,000 rows": [[1, 2, 3, 4]] * 20_000,
    }.items():
        body = json.dumps({"model": "iris", "input": {"instances": instances}}).encode()
        yield Case(f"v1 instances {name}", request(PREDICTIONS, body), frozenset({400, 413, 422}), path=PREDICTIONS)
    for name, body in {
        "no model": b'{"input": {"instances": [[1,2,3,4]]}}',
        "model number": b'{"model": 1, "input": {"instances": [[1,2,3,4]]}}',
        "model NUL": b'{"model": "iris\\u0000", "input": {"instances": [[1,2,3,4]]}}',
        "model path": b'{"model": "../iris", "input": {"instances": [[1,2,3,4]]}}',
        "model list": b'{"model": ["iris"], "input": {"instances": [[1,2,3,4]]}}',
        "version object": b'{"model": "iris", "version": {}, "input": {"instances": [[1,2,3,4]]}}',
        "version huge": b'{"model": "iris", "version": "99999999999999999999", "input": {"instances": [[1,2,3,4]]}}',
        "version digits": b'{"model": "iris", "version": "\xc2\xb2", "input": {"instances": [[1,2,3,4]]}}',
        "input list": b'{"model": "iris", "input": [[1,2,3,4]]}',
        "input null": b'{"model": "iris", "input": null}',
        "priority": b'{"model": "iris", "priority": "now", "input": {"instances": [[1,2,3,4]]}}',
        "priority list": b'{"model": "iris", "priority": [], "input": {"instances": [[1,2,3,4]]}}',
        "unknown field": b'{"model": "iris", "tenant": "x", "input": {"instances": [[1,2,3,4]]}}',
        "webhook": b'{"model": "iris", "webhook": "http://169.254.169.254/", "input": {"instances": [[1,2,3,4]]}}',
        "stream": b'{"model": "iris", "stream": true, "input": {"instances": [[1,2,3,4]]}}',
    }.items():
        yield Case(f"v1 request {name}", request(PREDICTIONS, body), frozenset({400, 404, 422}), path=PREDICTIONS)
