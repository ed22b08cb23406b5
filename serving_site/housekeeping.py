"""What beat does, in an embedded server: ask for the scheduled tasks (retention) when they are due.

A server that is not up at night would never be asked: so what would have been due within the day before is due a
minute after the start.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from monitoring.background import Ticker
from serving_site.celery import app

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
#: A start has better things to do than to tidy up.
AFTER_START = timedelta(minutes=1)


class Housekeeping:
    """Which tasks of the schedule were asked for when."""

    def __init__(self, now: datetime) -> None:
        self._begins = now + AFTER_START
        self._asked = {name: now - timedelta(days=1) for name in settings.CELERY_BEAT_SCHEDULE}

    def due(self, now: datetime) -> list[str]:
        """The tasks to ask for now; each is named once for each time of its schedule."""
        found = []
        for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
            schedule: Any = entry["schedule"]
            if now >= self._begins and schedule.remaining_estimate(self._asked[name]) <= timedelta(0):
                self._asked[name] = now
                found.append(str(entry["task"]))
        return found

    def look(self) -> None:
        for task in self.due(app.now()):
            app.send_task(task, queue=settings.OPERATIONS_QUEUE)
            logger.debug("asked for %s", task, extra={"action": "task_due"})


def background() -> Ticker:
    return Ticker("housekeeping", LOOK_EVERY_S, Housekeeping(app.now()).look)
