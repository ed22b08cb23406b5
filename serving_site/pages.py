"""The pages that are neither API nor admin."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from serving_site import banner


def home(request: HttpRequest) -> HttpResponse:
    """What this is, and three lines to begin with; it asks no database."""
    return render(request, "site/home.html", {"calls": _calls(f"{request.scheme}://{request.get_host()}")})


def _calls(url: str) -> list[dict[str, str]]:
    return [
        {
            "title": "Answer now",
            "text": "The Open Inference Protocol: the same request works against Triton and KServe.",
            "line": _curl(f"{url}/v2/models/iris/infer", banner.ONLINE),
        },
        {
            "title": "Accept now, answer later",
            "text": "Committed before it is acknowledged. Wait for the answer, or come back for it.",
            "line": _curl(f"{url}/v1/predictions", banner.QUEUED, "Prefer: wait"),
        },
        {
            "title": "Find the record",
            "text": "Who asked what of which version, and what it answered.",
            "line": _curl(f"{url}/api/records?model=iris&limit=2"),
        },
    ]


def _curl(url: str, body: Any = None, header: str = "") -> str:
    """A line as people type it; without a key where a setting allows that."""
    parts = [f"curl -s '{url}'"]
    if not settings.ANONYMOUS_PROJECT:
        parts.append('-H "Authorization: Bearer $KEY"')
    if header:
        parts.append(f"-H '{header}'")
    if body is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d '{json.dumps(body)}'")
    return " \\\n  ".join(parts)
