"""Migrations only add, so that the version before still runs beside the new tables (README, Deploy, Upgrade)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

ROOT = Path(__file__).resolve().parent.parent.parent
#: What takes away or renames what the version before reads.
TAKES = (
    *(migrations.RemoveField, migrations.DeleteModel, migrations.RenameField, migrations.RenameModel),
    *(migrations.AlterModelTable, migrations.AlterField),
)
#: Migrations that drop what the version before no longer used, by name; none was needed yet.
DROPPED: frozenset[str] = frozenset()


def found() -> dict[str, Any]:
    names = (path.relative_to(ROOT).with_suffix("") for path in ROOT.glob("*/migrations/[0-9]*.py"))
    return {name: importlib.import_module(name).Migration for name in (".".join(path.parts) for path in names)}


def broken(operations: list[Operation]) -> Iterator[str]:
    """A sentence about each operation that the version before could not live with."""
    for operation in operations:
        if isinstance(operation, TAKES):
            yield f"{operation.describe()}: it takes something away"
        elif isinstance(operation, migrations.AddField):
            field = operation.field
            if not (field.null or field.has_default() or field.has_db_default()):
                yield f"{operation.describe()}: rows of the version before have no value for it"


def test_no_migration_takes_away_what_the_version_before_reads() -> None:
    said = {name: list(broken(made.operations)) for name, made in found().items() if name not in DROPPED}
    assert len(said) >= 3
    assert {name: sentences for name, sentences in said.items() if sentences} == {}


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("prediction", "status"),
        migrations.RenameField("prediction", "status", "state"),
        migrations.DeleteModel("Prediction"),
        migrations.AddField("prediction", "more", models.TextField()),
    ],
)
def test_what_the_version_before_could_not_live_with_is_found(operation: Operation) -> None:
    assert len(list(broken([operation]))) == 1


def test_a_column_with_a_default_may_be_added() -> None:
    assert list(broken([migrations.AddField("prediction", "more", models.TextField(default=""))])) == []
