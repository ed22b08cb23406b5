"""`/api/logs`: full text and filters, cursors, and nothing of another project."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from monitoring.ids import mint
from monitoring.logs.lines import LogLine
from monitoring.logs.stores import open_log_store
from monitoring.logs.stores.base import Outcome
from monitoring.logs.stores.database import DatabaseLogs
from monitoring.stores.base import StoreUnavailable
from tests.contracts.log_store import NOON, a_line


def keep(*lines: LogLine) -> None:
    assert open_log_store().add(lines) == [Outcome.STORED] * len(lines)


def ours(message: str = "moved 3 records", **fields: Any) -> LogLine:
    return a_line(message, **{"labels__project": "ours", **fields})


@pytest.fixture
def manager(watched) -> Client:
    return watched.key("manage")


def found(client: Client, **parameters: Any) -> list[str]:
    answer = client.get("/api/logs", parameters)
    assert answer.status_code == 200, answer.content
    return [line["id"] for line in answer.json()["results"]]


def test_a_line_is_shown_in_the_words_of_ecs(manager):
    line = ours(http__request__id="r-7", event__action="answered")
    keep(line)
    shown = manager.get(f"/api/logs/{line.id}").json()
    assert (shown["id"], shown["message"], shown["http.request.id"]) == (str(line.id), "moved 3 records", "r-7")
    assert manager.get("/api/logs").json()["results"] == [shown]


def test_every_filter_narrows_the_search(manager):
    wanted = ours(
        "Lease expired",
        log__level="error",
        service__name="keeper",
        event__action="leases_expired",
        labels__model="iris",
        http__request__id="r-1",
        labels__prediction_id="p-1",
        trace__id="ab" * 16,
        moment=NOON + timedelta(minutes=1),
    )
    keep(wanted, ours())
    for parameters in (
        {"q": "EXPIRED"},
        {"level": "warning"},
        {"service": "keeper"},
        {"action": "leases_expired"},
        {"model": "iris"},
        {"request_id": "r-1"},
        {"prediction_id": "p-1"},
        {"trace_id": "ab" * 16},
        {"since": (NOON + timedelta(minutes=1)).isoformat()},
    ):
        assert found(manager, **parameters) == [str(wanted.id)], parameters
    assert found(manager, until=NOON.isoformat()) == []


def test_pages_go_on_by_their_cursor(manager):
    keep(*(ours(moment=NOON + timedelta(seconds=second)) for second in range(5)))
    first = manager.get("/api/logs", {"limit": 3}).json()
    second = manager.get(first["next"]).json()
    assert len(first["results"]) == 3
    assert len(second["results"]) == 2
    assert second["next"] is None
    assert not {line["id"] for line in first["results"]} & {line["id"] for line in second["results"]}


def test_what_is_not_ours_does_not_exist(manager):
    foreign, nobodys = a_line(labels__project="theirs"), a_line(labels__project="")
    keep(foreign, nobodys)
    assert found(manager) == found(manager, project="theirs") == []
    assert manager.get(f"/api/logs/{foreign.id}").status_code == 404
    assert manager.get(f"/api/logs/{nobodys.id}").status_code == 404
    assert manager.get(f"/api/logs/{mint()}").status_code == 404


def test_a_key_needs_the_scope_and_one_of_its_models(watched):
    keep(ours(labels__model="iris"), ours())
    assert watched.key("predict", "read").get("/api/logs").status_code == 403
    assert Client().get("/api/logs").status_code == 401
    limited = watched.key("manage", model_names=["iris"])
    assert limited.get("/api/logs").json()["errors"][0]["pointer"] == "/model"
    assert len(found(limited, model="iris")) == 1


def test_people_see_every_line_when_they_may(watched):
    keep(ours(), a_line(labels__project="theirs"), a_line(labels__project=""))
    person = watched.person()
    assert len(found(person)) == 3
    assert len(found(person, project="theirs")) == 1
    helper, client = User.objects.create_user("helper", is_staff=True), Client()
    client.force_login(helper)
    assert client.get("/api/logs").status_code == 403
    helper.user_permissions.add(Permission.objects.get(codename="view_logrow"))
    assert len(found(client)) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", "loud"),
        ("q", ""),
        ("q", "  "),
        ("q", "x" * 300),
        ("q", " ".join("abcdefghijkl")),
        ("q", "a\0b"),
        ("since", "yesterday"),
        ("limit", "1000000000"),
        ("limit", "-1"),
        ("cursor", "!"),
        ("colour", "blue"),
    ],
)
def test_a_faulty_parameter_is_named(manager, name, value):
    answer = manager.get("/api/logs", {name: value})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


def test_a_store_that_is_away_is_said_so(manager, settings):
    settings.LOG_STORE = f"{__name__}.Away"
    answer = manager.get("/api/logs")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer["Retry-After"]) >= 1


class Away(DatabaseLogs):
    def search(self, query: Any) -> Any:
        raise StoreUnavailable("away")
