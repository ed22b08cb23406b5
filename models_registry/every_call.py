"""The settings that every call reads. Django's own object takes as long for each as a small decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver


class _Read:
    """`serving` is SERVING, `anonymous_project` is ANONYMOUS_PROJECT."""

    __slots__ = ("anonymous_project", "serving")

    serving: Mapping[str, Any]
    anonymous_project: str


CURRENT = _Read()


@receiver(setting_changed)
def _read(**_: Any) -> None:
    CURRENT.serving = settings.SERVING
    CURRENT.anonymous_project = settings.ANONYMOUS_PROJECT


_read()
