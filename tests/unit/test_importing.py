"""What a process of the services mode brings into memory with its record store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT, clean_environment

PROGRAM = """
import django, sys
django.setup()
import monitoring.stores.cluster
print("elasticsearch" in sys.modules, "pyarrow" in sys.modules)
import pyarrow.parquet
"""


def test_the_record_store_brings_no_arrow_and_leaves_it_to_be_imported(tmp_path: Path) -> None:
    environment = clean_environment(
        tmp_path, ELASTICSEARCH_URL="http://127.0.0.1:1", DJANGO_SETTINGS_MODULE="serving_site.settings"
    )
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["True", "False"]
