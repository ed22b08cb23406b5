"""Settings of the tests: the site's own, on a data folder made for this run and a database that threads can share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Before the site's settings are read: no test touches the data folder of a server that runs beside it.
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="serving-tests-")

from serving_site.settings import *  # noqa: F403
from serving_site.settings import DATA_DIR, DATABASES

# In a file: SQLite's in-memory database belongs to one connection, and our committer and keeper have their own.
DATABASES["default"]["TEST"] = {"NAME": Path(DATA_DIR) / "test.sqlite3"}
