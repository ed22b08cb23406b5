"""What a model's privacy does to fields before anything is stored: drop, hash (keyed) or mask. Framework-free.

A policy maps `input.<name>` or `output.<name>` (a column, or a tensor for all of it) to an action. Applied twice it
gives the same as once, so that a row can be made anew from what is left of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson

from monitoring.records import PROTECTED, SpooledTensor, Value, rows_of

DROP, HASH, MASK = "drop", "hash", "mask"
ACTIONS = (DROP, HASH, MASK)
MASKED = "***"
#: Stands for the text of an error, which may quote what was sent.
WITHHELD = "withheld: the model protects its fields"
MOST_FIELDS = 200

_HASHED = re.compile(r"hmac:[0-9a-f]{24}")


def check(policy: Any) -> dict[str, str]:
    """The policy, when it is one; raises `ValueError` naming the field that is none."""
    if not isinstance(policy, dict) or len(policy) > MOST_FIELDS:
        raise ValueError(f"privacy is an object of at most {MOST_FIELDS} fields")
    for name, action in policy.items():
        side, dot, field = str(name).partition(".")
        if side not in ("input", "output") or not dot or not 0 < len(field) <= 128:
            raise ValueError(f"privacy names fields as input.<name> or output.<name>, not {str(name)[:80]!r}")
        if action not in ACTIONS:
            raise ValueError(f"{name}: one of {', '.join(ACTIONS)} is needed")
    return dict(policy)


def subject_of(subject: str, *, project: str, key: bytes) -> str:
    """What stands for a subject everywhere: 32 hexadecimal digits, "" for none."""
    return _digest(key, f"subject\0{project}\0{subject}")[:32] if subject else ""


@dataclass(frozen=True, slots=True)
class Guard:
    """One model's policy at work. `columns` has the names of a queued row's values in their order, when known."""

    policy: Mapping[str, str]
    project: str
    key: bytes
    columns: tuple[str, ...] = ()

    def protects(self, side: str) -> bool:
        return any(name.startswith(f"{side}.") for name in self.policy)

    def action(self, side: str, name: str, tensor: str = "") -> str:
        """What is done to a value of this name: "" for nothing."""
        outer = tensor or name.partition(".")[0]
        return self.policy.get(f"{side}.{name}") or self.policy.get(f"{side}.{outer}") or ""

    def value(self, action: str, value: Any) -> Any:
        if action == "" or value is None:
            return value
        if action == DROP:
            return None
        if action == MASK:
            return MASKED
        if isinstance(value, str) and _HASHED.fullmatch(value):
            return value
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return f"hmac:{_digest(self.key, f'field{chr(0)}{self.project}{chr(0)}{text}')[:24]}"

    def tensors(self, side: str, found: Iterable[SpooledTensor]) -> list[SpooledTensor]:
        """Uncut tensors of the online path; those that nothing is done to are left as they are."""
        return [self._tensor(side, tensor) for tensor in found]

    def _tensor(self, side: str, tensor: SpooledTensor) -> SpooledTensor:
        names = tensor.columns or (tensor.name,)
        actions = [self.action(side, name, tensor.name) for name in names]
        if not any(actions):
            return tensor
        elements = np.array(rows_of(tensor), dtype=object).reshape(-1)
        protected = [self.value(actions[place % len(actions)], element) for place, element in enumerate(elements)]
        return msgspec.structs.replace(tensor, datatype=PROTECTED, data=_flat(protected))

    def asked(self, encoded: bytes) -> bytes:
        """The input object of a queued prediction (`{"instances": […]}`) as JSON."""
        if not self.protects("input"):
            return encoded
        document = _loads(encoded)
        instances = document.get("instances") if isinstance(document, dict) else None
        if not isinstance(instances, list):  # not a shape of ours: nothing of it is kept
            return _dumps({"instances": []})
        return _dumps({**document, "instances": [self._instance(instance) for instance in instances]})

    def _instance(self, instance: Any) -> Any:
        if isinstance(instance, dict):
            return {name: self._deep(self.action("input", name), value) for name, value in instance.items()}
        if isinstance(instance, list) and len(instance) == len(self.columns):
            return [
                self._deep(self.action("input", name), value)
                for name, value in zip(self.columns, instance, strict=True)
            ]
        if len(self.columns) == 1:
            return self._deep(self.action("input", self.columns[0]), instance)
        return None

    def answered(self, encoded: bytes | None, classes: Sequence[Any] = ()) -> bytes | None:
        """The output object of a queued prediction as JSON; `classes` name the columns of a probability."""
        if encoded is None or not self.protects("output"):
            return encoded
        document = _loads(encoded)
        if not isinstance(document, dict):
            return _dumps(None)
        return _dumps({name: self._output(name, entries, classes) for name, entries in document.items()})

    def _output(self, name: str, entries: Any, classes: Sequence[Any]) -> Any:
        def entry(value: Any) -> Any:
            if isinstance(value, list) and len(value) == len(classes):
                return [
                    self._deep(self.action("output", f"{name}.{label}"), item)
                    for label, item in zip(classes, value, strict=True)
                ]
            return self._deep(self.action("output", name), value)

        return [entry(value) for value in entries] if isinstance(entries, list) else entry(entries)

    def _deep(self, action: str, value: Any) -> Any:
        """Every element of a nested value by itself."""
        if action and isinstance(value, list):
            return [self._deep(action, item) for item in value]
        return self.value(action, value)

    def values(self, found: Iterable[Value]) -> tuple[Value, ...]:
        """Searchable values: what is dropped or masked is no value any more, what is hashed is a text."""
        kept = []
        for value in found:
            action = self.action(value.side, value.name)
            if not action:
                kept.append(value)
            elif action == HASH:
                plain = value.number if value.text is None else value.text
                kept.append(msgspec.structs.replace(value, number=None, text=self.value(HASH, plain)))
        return tuple(kept)

    def error(self, text: str) -> str:
        return WITHHELD if text and self.policy else text


def _digest(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _flat(elements: list[Any]) -> bytes:
    plain = [element.item() if isinstance(element, np.generic) else element for element in elements]
    return _dumps(plain)


_loads: Callable[[bytes], Any] = json.loads


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(value).encode()
