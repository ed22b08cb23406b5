"""The log in the admin: filters, links to the record and back, and nothing live in what is shown."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.contracts.log_store import NOON, a_line
from tests.integration.monitoring.test_logs_api import Away, keep, ours

__all__ = ["Away"]


@pytest.fixture
def person(watched) -> Client:
    return watched.person()


def shown(client: Client, **parameters: object) -> str:
    answer = client.get("/admin/logs/", parameters)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def messages(page: str) -> list[str]:
    return [
        re.sub(r"<[^>]+>", "", found).strip() for found in re.findall(r'sb-log-message">(.*?)(?: <span|</span>)', page)
    ]


def test_lines_stand_newest_first_and_filters_narrow_them(person):
    keep(ours("first"), ours("second, which failed", log__level="error", moment=NOON + timedelta(seconds=1)))
    assert messages(shown(person)) == ["second, which failed", "first"]
    assert messages(shown(person, q="FAILED", level="", service="")) == ["second, which failed"]
    assert messages(shown(person, level="error", period="")) == ["second, which failed"]
    assert messages(shown(person, period="15m")) == []
    assert messages(shown(person, project="theirs")) == []


def test_a_line_leads_to_its_record_and_the_record_to_its_lines(watched, person):
    record = watched.keep()
    keep(ours("about it", labels__prediction_id=str(record.id), trace__id="ab" * 16))
    page = shown(person)
    link = f"/admin/monitoring/recordrow/{record.id}/change/"
    assert link in page
    assert f"?prediction_id={record.id}" in page
    assert f"?trace_id={'ab' * 16}" in page
    answered = person.get(link)
    assert answered.status_code == 200
    assert f"/admin/logs/?prediction_id={record.id}" in unescape(answered.content.decode())
    assert messages(shown(person, prediction_id=record.id)) == ["about it"]


def test_older_lines_are_a_page_further(person):
    keep(*(ours(f"line {number}", moment=NOON + timedelta(seconds=number)) for number in range(60)))
    page = shown(person, q="line")
    (older,) = re.findall(r'href="(\?[^"]+)" rel="next"', page)
    assert len(messages(page)) == 50
    further = unescape(person.get(f"/admin/logs/{older}").content.decode())
    assert messages(further)[-1] == "line 0"
    assert len(messages(further)) == 10
    assert 'rel="next"' not in further


def test_hostile_text_is_text(person):
    keep(ours('<script>alert(1)</script>"><img src=x onerror=alert(2)>', url__path="javascript:alert(3)"))
    raw = person.get("/admin/logs/", {"q": "script", "request_id": '"><script>alert(4)</script>'}).content.decode()
    raw += person.get("/admin/logs/").content.decode()
    assert "<script>alert" not in raw
    assert "<img src=x" not in raw


@pytest.mark.parametrize(
    ("name", "value"), [("level", "loud"), ("period", "1y"), ("cursor", "!"), ("colour", "blue"), ("q", "x" * 999)]
)
def test_a_faulty_filter_is_named_on_the_page(person, name, value):
    assert f"{name}: " in re.findall(r'role="alert">(.*?)</div>', shown(person, **{name: value}))[0]


def test_a_store_that_is_away_is_said_so(person, settings):
    settings.LOG_STORE = "tests.integration.monitoring.test_logs_api.Away"
    assert "does not answer" in shown(person)


def test_only_people_who_may_see_it(watched):
    keep(a_line("secret business"))
    client = Client()
    assert client.get("/admin/logs/").status_code == 302
    client.force_login(User.objects.create_user("helper", is_staff=True))
    assert client.get("/admin/logs/").status_code == 403
