"""A spooled call becomes a record: values by name, large data cut, and the same bytes at every repeat."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from blake3 import blake3

from monitoring import documents, keeping, records
from monitoring.ids import mint
from monitoring.records import MAX_VALUES, SpooledCall, SpooledTensor, Value

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def call(**fields) -> SpooledCall:
    defaults = {
        "id": mint().bytes,
        "project": "demo",
        "model": "iris",
        "version": 3,
        "version_id": mint().bytes,
        "digest": "ab" * 32,
        "route": "alias champion",
        "protocol": "oip",
        "status": "succeeded",
        "accepted_at": 1_700_000_000.25,
        "total_s": 0.0123456,
        "inference_s": 0.004,
        "rows": 2,
        "request_id": "r-1",
        "inputs": (keeping.tensor("input", "FP64", np.array([[5.1, 3.5, 1.4, 0.2], [6, 3, 5, 1.8]]), FEATURES),),
        "outputs": (
            keeping.tensor("label", "BYTES", np.array([["setosa"], ["virginica"]], dtype=object)),
            keeping.tensor("probabilities", "FP32", np.array([[0.5, 0.25], [0, 1]], dtype=np.float32)),
        ),
    }
    return SpooledCall(**{**defaults, **fields})


def test_a_spooled_call_comes_back_as_the_record_it_was():
    spooled = call()
    record = records.from_spooled(records.decode_call(records.encode_call(spooled)))
    assert record.id.bytes == spooled.id
    assert (record.model, record.version, record.route, record.door) == ("iris", 3, "alias champion", "online")
    assert record.accepted_at == datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)
    assert (record.completed_at - record.accepted_at).total_seconds() == 0.012346
    assert (record.total_ms, record.inference_ms) == (12.346, 4.0)
    assert record.inputs == {"input": [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 1.8]]}
    assert record.outputs == {"label": [["setosa"], ["virginica"]], "probabilities": [[0.5, 0.25], [0.0, 1.0]]}


@pytest.mark.parametrize("fields", [{}, {"status": "failed", "error": "no", "cached": True, "trace_id": "t"}])
def test_a_call_written_from_its_parts_is_the_same_to_the_octet(fields):
    whole = call(**fields)
    known = {name: getattr(whole, name) for name in records.KnownFields._fields}
    own = SpooledCall.__struct_fields__[1 + len(known) :]
    parts = (whole.id, records.KnownFields(**known).encoded(), tuple(getattr(whole, name) for name in own))
    assert records.encode_known(*parts) == records.encode_call(whole)


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_tensors_written_from_their_parts_are_the_same_to_the_octet(count):
    shapes = ((2, 4), (300,), (70_000, 1, 3))
    tensors = [
        SpooledTensor(f"t{index}", "FP32", shapes[index % 3], b"x" * (index * 200), columns=("a", "b")[: index % 3])
        for index in range(count)
    ]
    parts = [records.tensors_begun(count)]
    for one in tensors:
        head = records.tensor_head(one.name, one.datatype, one.shape)
        parts += [head, records.octets_begun(len(one.data)), one.data, records.tensor_tail(one.columns)]
    whole = msgspec.msgpack.encode(tensors)
    assert b"".join(parts) == whole
    assert msgspec.msgpack.encode(msgspec.Raw(whole)) == whole


def test_the_first_instance_is_searchable_by_name():
    assert set(records.from_spooled(call()).values) == {
        *(Value("input", name, number=number) for name, number in zip(FEATURES, (5.1, 3.5, 1.4, 0.2), strict=True)),
        Value("output", "label", text="setosa"),
        Value("output", "probabilities.0", number=0.5),
        Value("output", "probabilities.1", number=0.25),
    }


def test_a_one_dimensional_output_is_searchable_under_its_own_name():
    record = records.from_spooled(call(outputs=(keeping.tensor("value", "FP64", np.array([7.5, 8.0])),)))
    assert Value("output", "value", number=7.5) in record.values
    assert record.outputs == {"value": [7.5, 8.0]}


def test_wide_inputs_leave_room_for_the_outputs():
    wide = keeping.tensor("input", "FP64", np.arange(3000.0).reshape(1, 3000))
    found = records.from_spooled(call(inputs=(wide,))).values
    assert len(found) == MAX_VALUES
    assert Value("output", "label", text="setosa") in found
    assert Value("input", "input.0", number=0.0) in found


def test_missing_values_are_null_in_the_record_and_not_searchable():
    array = np.array([[math.nan, 1.0]])
    record = records.from_spooled(call(inputs=(keeping.tensor("input", "FP64", array, ("a", "b")),)))
    assert record.inputs == {"input": [[None, 1.0]]}
    assert [value.name for value in record.values if value.side == "input"] == ["b"]


def test_text_that_is_no_unicode_survives_the_spool():
    array = np.array([["\ud800"]], dtype=object)
    assert records.tensor_json(keeping.tensor("text", "BYTES", array)) == [["\ud800"]]


def test_a_missing_text_is_null_too():
    array = np.array([[None], ["x"]], dtype=object)
    record = records.from_spooled(call(inputs=(keeping.tensor("island", "BYTES", array),)))
    assert record.inputs == {"island": [[None], ["x"]]}


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT16", "INT32", "UINT64", "INT64", "FP16", "FP32", "FP64"])
def test_every_datatype_survives_the_spool(datatype):
    kind = {"BOOL": "?", "FP16": "f2", "FP32": "f4", "FP64": "f8"}.get(datatype, datatype.lower())
    array = np.array([[0, 1], [1, 0]]).astype(kind)
    assert records.tensor_json(keeping.tensor("x", datatype, array)) == array.tolist()


def test_a_failed_call_without_tensors_is_a_record_too():
    record = records.from_spooled(call(inputs=(), outputs=(), status="failed", error_code="model_error", error="boom"))
    assert (record.inputs, record.outputs, record.values, record.error) == (None, None, (), "boom")


def test_what_fits_is_kept_whole():
    tensors = call().inputs
    assert keeping.keep_tensors(tensors) == tensors


@pytest.mark.parametrize(("rows", "width", "kept"), [(5000, 4, 10), (3, 100_000, 0), (20, 500, 4)])
def test_what_is_too_large_leaves_digest_shape_and_first_rows(rows, width, kept):
    array = np.arange(float(rows * width)).reshape(rows, width)
    (cut,) = keeping.keep_tensors([keeping.tensor("input", "FP64", array)])
    assert len(cut.data) <= keeping.ONLINE_LIMIT
    found = records.tensor_json(cut)
    assert found["shape"] == [rows, width]
    assert found["digest"] == f"blake3:{blake3(array.tobytes()).hexdigest()}"
    assert found["first_rows"] == array[:kept].tolist()
    assert len(records.from_spooled(call(inputs=(cut,))).values) >= 3


def test_large_text_is_cut_by_rows_as_well():
    array = np.array([["x" * 100, "y" * 100]] * 1000, dtype=object)
    (cut,) = keeping.keep_tensors([keeping.tensor("text", "BYTES", array)])
    assert records.tensor_json(cut)["first_rows"] == array[:10].tolist()
    huge = keeping.tensor("text", "BYTES", np.array([["x" * 100_000]] * 3, dtype=object))
    assert records.tensor_json(keeping.keep_tensors([huge])[0])["first_rows"] == []


def test_a_queued_document_is_kept_or_cut():
    small = {"instances": [[1, 2]]}
    assert keeping.keep_json(json.dumps(small).encode()) == small
    large = {"instances": [[number] * 10 for number in range(50_000)]}
    cut = keeping.keep_json(json.dumps(large).encode())
    assert (cut["rows"], cut["digest"][:7], len(cut["digest"])) == (50_000, "blake3:", 71)
    assert cut["first_rows"] == {"instances": large["instances"][:10]}
    wide = keeping.keep_json(json.dumps({"instances": ["x" * 2_000_000]}).encode())
    assert wide["first_rows"] == {"instances": []}


def test_a_document_is_the_record():
    record = records.from_spooled(call())
    document = documents.to_document(record)
    assert documents.from_document(documents.decode(documents.encode(document))) == record


def test_the_content_hash_tells_a_repeat_from_another_content():
    spooled = call()
    once, again = (documents.encode(documents.to_document(records.from_spooled(spooled))) for _ in range(2))
    other = documents.encode(documents.to_document(records.from_spooled(call(id=spooled.id, total_s=0.5))))
    assert documents.content_hash(once) == documents.content_hash(again)
    assert documents.content_hash(once) != documents.content_hash(other)


def test_numbers_and_text_that_orjson_refuses_are_still_recorded():
    encoded = documents.encode({"inputs": {"n": 10**30, "text": "\ud800"}})
    assert documents.decode(encoded) == {"inputs": {"n": 10**30, "text": "\ud800"}}


@pytest.mark.parametrize(
    "fields", [{}, {"error": "\ud800"}, {"accepted_at": 1_700_000_000.0, "total_s": 0.0}, {"inputs": (), "outputs": ()}]
)
def test_a_record_is_encoded_at_once_as_its_document_is(fields):
    record = records.from_spooled(call(**fields))
    assert documents.encode_record(record) == documents.encode(documents.to_document(record))


@pytest.mark.parametrize("shape", [(2, 3), (1, 6), (6, 1), (3, 2, 1)])
@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "INT64", "FP16", "FP32", "FP64"])
def test_numbers_are_recorded_as_they_were_given(datatype, shape):
    array = np.arange(6).reshape(shape).astype(records._DTYPES[datatype])
    assert records.tensor_json(keeping.tensor("x", datatype, array)) == array.tolist()


def test_what_is_no_number_is_recorded_as_none():
    array = np.array([[1.5, math.nan, math.inf], [-math.inf, 0.0, 2.0]])
    assert records.tensor_json(keeping.tensor("x", "FP64", array)) == [[1.5, None, None], [None, 0.0, 2.0]]
    most = np.finfo(np.float64).max
    assert records.tensor_json(keeping.tensor("x", "FP64", np.array([[most, most]]))) == [[most, most]]


def test_an_id_of_another_length_is_none():
    with pytest.raises(ValueError, match="16 bytes"):
        records.from_spooled(call(id=b"short"))
