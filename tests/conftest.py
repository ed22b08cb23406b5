"""Fixtures every tier shares. The run's own data folder and database are set in `tests/settings.py`."""

from __future__ import annotations

import atexit
import os
import shutil

# Whatever the run has left in its data folder goes with it.
atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)
