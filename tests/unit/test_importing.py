"""What a process of the services mode brings into memory with its record store."""

from __future__ import annotations

from pathlib import Path

from tests.running import clean_environment, run_program

PROGRAM = """
import django, sys
django.setup()
import monitoring.stores.cluster
print("elasticsearch" in sys.modules, "pyarrow" in sys.modules)
import pyarrow.parquet
"""


def test_the_record_store_brings_no_arrow_and_leaves_it_to_be_imported(tmp_path: Path) -> None:
    ended = run_program(PROGRAM, clean_environment(tmp_path, ELASTICSEARCH_URL="http://127.0.0.1:1"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["True", "False"]
