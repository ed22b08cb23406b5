"""What an id of a request may look like."""

from __future__ import annotations

import re

#: What a client may name its request: anything else is replaced by an id of ours.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
