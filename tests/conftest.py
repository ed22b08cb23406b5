"""Fixtures every tier shares: a data folder of its own for each run, and the cast."""

from __future__ import annotations

import os
import tempfile

# Before Django reads its settings: no test touches the data folder of a server that runs beside it.
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="serving-tests-")
