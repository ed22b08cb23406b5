"""An embedded server asks for the scheduled tasks itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from celery.schedules import crontab

from serving_site.housekeeping import Housekeeping

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def schedule(settings):
    made = {
        "hourly": {"task": "tidy.hourly", "schedule": crontab(minute="17")},
        "nightly": {"task": "tidy.nightly", "schedule": crontab(minute="43", hour="2")},
    }
    for entry in made.values():
        entry["schedule"].nowfun = lambda: clock[0]
    clock = [NOON]
    settings.CELERY_BEAT_SCHEDULE = made

    def at(moment: datetime) -> datetime:
        clock[0] = moment
        return moment

    return at


def test_what_was_missed_is_asked_for_after_the_start_and_then_when_it_is_due(schedule):
    keeping = Housekeeping(NOON)
    assert keeping.due(schedule(NOON)) == []
    assert keeping.due(schedule(NOON + timedelta(minutes=1))) == ["tidy.hourly", "tidy.nightly"]
    asked = [
        (minute, task)
        for minute in range(2, 26 * 60)
        for task in keeping.due(schedule(NOON + timedelta(minutes=minute)))
    ]
    assert [minute for minute, task in asked if task == "tidy.nightly"] == [14 * 60 + 43]
    assert [minute for minute, task in asked if task == "tidy.hourly"] == [17 + 60 * hour for hour in range(26)]
