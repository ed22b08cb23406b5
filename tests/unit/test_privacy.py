"""What a privacy does to fields: tensors of the online path, JSON of the queued one, searchable values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monitoring import keeping, privacy, records
from monitoring.privacy import Guard
from monitoring.records import Value

KEY = b"k" * 32
POLICY = {"input.age": "drop", "input.name": "hash", "input.note": "mask", "output.score": "hash"}
GUARD = Guard(POLICY, "demo", KEY, columns=("age", "name", "note", "city"))


def shown(tensor):
    return records.tensor_json(tensor)


def test_columns_are_dropped_hashed_and_masked_and_the_others_left():
    array = np.array([[41, "Ada", "hello", "Bern"], [None, "Bob", None, "Rome"]], dtype=object)
    tensor = keeping.tensor("row", "BYTES", array, columns=("age", "name", "note", "city"))
    (kept,) = GUARD.tensors("input", [tensor])
    first, second = shown(kept)
    assert first[0] is None
    assert first[1].startswith("hmac:")
    assert first[1:] == [first[1], "***", "Bern"]
    assert second == [None, second[1], None, "Rome"]
    assert second[1] != first[1]
    assert b"Ada" not in kept.data


def test_a_numeric_tensor_keeps_its_open_columns_as_numbers():
    tensor = keeping.tensor(
        "row", "FP32", np.array([[41, 2.5], [7, np.nan]], dtype=np.float32), columns=("age", "size")
    )
    (kept,) = GUARD.tensors("input", [tensor])
    assert shown(kept) == [[None, 2.5], [None, None]]
    assert shown(GUARD.tensors("output", [tensor])[0]) == [[41.0, 2.5], [7.0, None]]


def test_a_whole_tensor_is_named_by_its_own_name_and_a_cut_one_shows_no_raw_digest():
    scores = keeping.tensor("score", "FP64", np.arange(10_000.0))
    (kept,) = keeping.keep_tensors(GUARD.tensors("output", [scores]), limit=4096)
    (raw,) = keeping.keep_tensors([scores], limit=4096)
    assert kept.digest != raw.digest
    assert all(value.startswith("hmac:") for value in shown(kept)["first_rows"])


def test_what_is_not_named_is_left_as_it_is():
    tensor = keeping.tensor("size", "FP64", np.arange(3.0))
    assert GUARD.tensors("input", [tensor]) == [tensor]
    assert Guard({"output.x": "drop"}, "demo", KEY).asked(b'{"instances": [1]}') == b'{"instances": [1]}'


@pytest.mark.parametrize(
    "instance", [{"age": 41, "name": "Ada", "note": "hello", "city": "Bern"}, [41, "Ada", "hello", "Bern"]]
)
def test_queued_rows_are_protected_as_objects_and_as_lists(instance):
    kept = json.loads(GUARD.asked(json.dumps({"instances": [instance]}).encode()))["instances"][0]
    values = list(kept.values()) if isinstance(kept, dict) else kept
    assert values[0] is None
    assert values[1].startswith("hmac:")
    assert values[2:] == ["***", "Bern"]


def test_a_queued_row_whose_columns_cannot_be_told_is_not_kept():
    assert json.loads(GUARD.asked(b'{"instances": [[41, "Ada"]]}')) == {"instances": [None]}
    assert json.loads(GUARD.asked(b'["Ada"]')) == {"instances": []}


def test_queued_outputs_are_protected_by_name_and_probabilities_by_class():
    guard = Guard({"output.label": "mask", "output.probabilities.ill": "drop"}, "demo", KEY)
    answer = b'{"label": ["ill", "well"], "probabilities": [[0.9, 0.1], [0.2, 0.8]]}'
    kept = json.loads(guard.answered(answer, ("ill", "well")))
    assert kept == {"label": ["***", "***"], "probabilities": [[None, 0.1], [None, 0.8]]}
    assert guard.answered(None) is None


def test_protecting_twice_is_protecting_once():
    once = GUARD.asked(b'{"instances": [{"age": 1, "name": "Ada", "note": "n", "city": [1, 2]}]}')
    assert GUARD.asked(once) == once


def test_hashes_need_the_key_and_differ_by_project():
    hashes = {
        Guard(POLICY, project, key).value("hash", "Ada") for project in ("demo", "other") for key in (KEY, b"x" * 32)
    }
    assert len(hashes) == 4
    assert GUARD.value("hash", "Ada") == Guard(POLICY, "demo", KEY).value("hash", "Ada")


def test_searchable_values_lose_what_is_dropped_and_masked():
    found = GUARD.values(
        [
            Value("input", "age", number=41),
            Value("input", "name", text="Ada"),
            Value("input", "note", text="hello"),
            Value("output", "score", number=0.5),
            Value("output", "age", number=1),
        ]
    )
    assert [(value.side, value.name) for value in found] == [("input", "name"), ("output", "score"), ("output", "age")]
    assert found[0].text == GUARD.value("hash", "Ada")
    assert found[1].number is None


def test_errors_are_withheld_since_they_may_quote():
    assert GUARD.error("no such name: Ada") == privacy.WITHHELD
    assert GUARD.error("") == ""


def test_a_subject_is_a_keyed_hash():
    hashed = privacy.subject_of("ada@example.org", project="demo", key=KEY)
    assert len(hashed) == 32
    assert hashed != privacy.subject_of("ada@example.org", project="other", key=KEY)
    assert privacy.subject_of("", project="demo", key=KEY) == ""


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        ([], "object"),
        ({"age": "drop"}, "input.<name>"),
        ({"input.": "drop"}, "input.<name>"),
        ({"input.age": "forget"}, "one of"),
        ({f"input.{n}": "drop" for n in range(201)}, "200"),
    ],
)
def test_what_is_no_policy_is_refused(policy, word):
    with pytest.raises(ValueError, match=word):
        privacy.check(policy)
