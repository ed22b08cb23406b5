"""What a test model must have answered: the sum of its two inputs, and a code that names project, model and version.

The first input is the number of the call, so that a record tells by itself which call it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PROJECTS = ("demo", "other")
MODELS = ("left", "right")
VERSIONS = (1, 2)


def code(project: str, model: str, version: int) -> int:
    """The constant that this version answers beside the sum; no two versions of any project share one."""
    return 1000 * (PROJECTS.index(project) + 1) + 100 * (MODELS.index(model) + 1) + version


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, as client or record saw it."""

    value: float
    code: int


def answer_of(outputs: object) -> Answer | None:
    """An answer's outputs by name (`value`, `version`), one entry per instance; None unless it is exactly one."""
    if not isinstance(outputs, dict) or set(outputs) != {"value", "version"}:
        return None
    value, version = outputs["value"], outputs["version"]
    if not (isinstance(value, Sequence) and isinstance(version, Sequence) and len(value) == len(version) == 1):
        return None
    return Answer(float(value[0]), int(version[0]))


def expected(project: str, model: str, version: int, row: tuple[int, int]) -> Answer:
    return Answer(float(sum(row)), code(project, model, version))
