"""Sample rows that the compiled and the native model are compared on: a person's CSV, or made from what is known."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models_registry.errors import InvalidInput
from models_registry.publishing.features import Feature
from models_registry.runtime.signature import Tensors, TensorSpec

MAX_ROWS = 10_000
SYNTHESIZED_ROWS = 256
_SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows as tensors by input name; `source` says in words where they come from.

    The last rows, one for each of `gaps`, were added with one value missing: (input, column) says which.
    """

    inputs: Tensors
    rows: int
    source: str
    gaps: tuple[tuple[str, int], ...] = ()

    def take(self, rows: int) -> Tensors:
        """Exactly so many rows, repeating the sample when it has fewer."""
        at = np.arange(rows) % self.rows
        return {name: values[at] for name, values in self.inputs.items()}

    def keep(self, mask: np.ndarray) -> Sample:
        """The rows where the mask is true."""
        return Sample({name: values[mask] for name, values in self.inputs.items()}, int(mask.sum()), self.source)


def missing_rows(values: np.ndarray) -> np.ndarray:
    """Which rows miss a value, as a mask."""
    flat = values.reshape(len(values), -1)
    empty = np.array([[text is None for text in row] for row in flat]) if values.dtype == object else _nan(flat)
    return np.asarray(empty.any(axis=1))


def _nan(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def from_csv(content: bytes, specs: Sequence[TensorSpec]) -> Sample:
    """Read rows for these inputs; columns are found by name, or by position where the model knows no names.

    An empty cell is a missing value. Raises `InvalidInput` naming the line and column.
    """
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"the sample is not a CSV in UTF-8: {error}", field="sample") from error
    lines = [line for line in lines if line]
    if not lines:
        raise InvalidInput("the sample has no rows", field="sample")
    header = None if all(_is_number(cell) for cell in lines[0]) else [cell.strip() for cell in lines[0]]
    rows = lines[1 if header else 0 :][:MAX_ROWS]
    if not rows:
        raise InvalidInput("the sample has a header and no rows", field="sample")
    inputs = {spec.name: _tensor(spec, rows, header) for spec in specs}
    return Sample(inputs, len(rows), f"{len(rows)} rows of the sample")


def _tensor(spec: TensorSpec, rows: list[list[str]], header: list[str] | None) -> np.ndarray:
    by_name = spec.shape == (-1, 1) and not spec.columns and spec.name != "input"
    names = spec.columns or ((spec.name,) if by_name else ())
    if names and header is not None and set(names) <= set(header):
        at = [header.index(name) for name in names]
    elif names and header is not None:
        missing = next(name for name in names if name not in header)
        raise InvalidInput(f"the sample has no column {missing!r}", field="sample")
    else:
        at = list(range(int(np.prod(spec.shape[1:])) if min(spec.shape[1:], default=1) > 0 else len(rows[0])))
    cells = [[_cell(spec, row, number, index) for index in at] for number, row in enumerate(rows)]
    tensor = np.empty((len(cells), len(at)), dtype=spec.dtype if spec.dtype == object else np.float64)
    tensor[:] = cells
    shape = (len(cells), *spec.shape[1:]) if min(spec.shape[1:], default=1) > 0 else tensor.shape
    return tensor.astype(spec.dtype).reshape(shape)


def _cell(spec: TensorSpec, row: list[str], number: int, index: int) -> object:
    if index >= len(row):
        raise InvalidInput(f"row {number} of the sample has no column {index}", field="sample", row=number)
    text = row[index].strip()
    if spec.datatype == "BYTES":
        return text if text not in ("", "NA") else None
    if text in ("", "NA", "NaN", "nan"):
        return np.nan
    if not _is_number(text):
        raise InvalidInput(f"row {number} of the sample: {text[:40]!r} is not a number", field="sample", row=number)
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip() in ("", "NA")
    return True


def synthesized(features: Sequence[Feature], specs: Sequence[TensorSpec]) -> Sample:
    """Rows within what the model knows of its features: the same rows every time."""
    chance = np.random.default_rng(_SEED)
    columns = [_values(feature, chance) for feature in features]
    if len(specs) == len(columns) and all(spec.shape == (-1, 1) for spec in specs):
        inputs = {spec.name: column[:, None] for spec, column in zip(specs, columns, strict=True)}
    else:
        inputs = {specs[0].name: np.stack(columns, axis=1)}
    typed = {spec.name: inputs[spec.name].astype(spec.dtype) for spec in specs}
    return Sample(typed, SYNTHESIZED_ROWS, f"{SYNTHESIZED_ROWS} rows made from the model's known ranges")


def _values(feature: Feature, chance: np.random.Generator) -> np.ndarray:
    if feature.is_text:
        choices = np.array([*feature.choices, "something else"], dtype=object)
        return choices[chance.integers(0, len(choices), SYNTHESIZED_ROWS)]
    if feature.choices:
        numbers = np.array([float(value) for value in feature.choices])
        return numbers[chance.integers(0, len(numbers), SYNTHESIZED_ROWS)]
    return chance.uniform(feature.low, feature.high, SYNTHESIZED_ROWS)


def for_graph(specs: Sequence[TensorSpec], rows: int = 64) -> Sample:
    """Small values for a graph of which nothing but its shapes is known; free lengths are 4."""
    chance = np.random.default_rng(_SEED)
    inputs = {}
    for spec in specs:
        shape = (rows, *(size if size > 0 else 4 for size in spec.shape[1:]))
        if spec.datatype == "BYTES":
            inputs[spec.name] = np.full(shape, "text", dtype=object)
        elif spec.dtype.kind == "f":
            inputs[spec.name] = chance.uniform(-1, 1, shape).astype(spec.dtype)
        else:
            inputs[spec.name] = np.zeros(shape, dtype=spec.dtype)
    return Sample(inputs, rows, f"{rows} made-up rows")
