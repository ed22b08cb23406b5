"""The registry's verbs, through the API: aliases, history, retiring, limits, strict bodies, pages."""

from __future__ import annotations

import itertools
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from models_registry import errors, snapshot
from models_registry.models import Alias, ApiKey, DeploymentEvent, ModelVersion, Project, RegisteredModel
from monitoring.ids import mint
from predictions.models import Prediction
from tests.integration.registry.conftest import ALL, Cast, add_version

JSON = "application/json"


@pytest.fixture
def client(cast: Cast) -> Client:
    return cast.key(*ALL)


def _answers(cast: Cast, name: str = "champion") -> int:
    return Alias.objects.get(model=cast.iris, name=name).version.number


def test_every_change_of_an_alias_is_an_event_with_who_from_to_and_why(cast: Cast, client: Client) -> None:
    answer = client.put("/api/models/iris/aliases/champion", {"version": 3, "why": "faster"}, content_type=JSON)
    assert (answer.status_code, answer.json()["version"]) == (200, 3)
    client.post("/api/models/iris/aliases/champion/rollback", {"why": "worse"}, content_type=JSON)
    client.delete("/api/models/iris/aliases/champion?why=over")
    events = client.get("/api/models/iris/events").json()["results"]
    seen = [(event["verb"], event["from_version"], event["to_version"], event["why"]) for event in events[:3]]
    assert seen == [("removed", 2, None, "over"), ("rolled back", 3, 2, "worse"), ("set", 2, 3, "faster")]
    assert all(event["who"].startswith("key sbk_") and event["at"] for event in events[:3])


def test_setting_an_alias_where_it_points_changes_nothing(cast: Cast, client: Client) -> None:
    before = DeploymentEvent.objects.count()
    assert client.put("/api/models/iris/aliases/champion", {"version": 2}, content_type=JSON).status_code == 200
    assert DeploymentEvent.objects.count() == before


def test_rolling_back_twice_goes_back_two_steps(cast: Cast, client: Client) -> None:
    client.put("/api/models/iris/aliases/champion", {"version": 3}, content_type=JSON)
    roll = "/api/models/iris/aliases/champion/rollback"
    assert client.post(roll, {}, content_type=JSON).json()["version"] == 2
    assert client.post(roll, {}, content_type=JSON).json()["version"] == 1
    assert client.post(roll, {}, content_type=JSON).status_code == 409
    assert _answers(cast) == 1


@pytest.mark.parametrize("status", ["publishing", "rejected", "retired"])
def test_an_alias_takes_only_a_ready_version(cast: Cast, client: Client, status: str) -> None:
    add_version(cast.iris, 9, status)
    answer = client.put("/api/models/iris/aliases/champion", {"version": 9}, content_type=JSON)
    assert answer.status_code == 409
    assert _answers(cast) == 2


@pytest.mark.parametrize("name", ["3", "infer", "Champion", "a" * 65, "a b", "%00", "..%2fetc"])
def test_a_name_no_alias_can_have_is_refused(client: Client, name: str) -> None:
    answer = client.put(f"/api/models/iris/aliases/{name}", {"version": 1}, content_type=JSON)
    assert answer.status_code in (404, 422)


def test_a_version_an_alias_needs_is_not_retired(cast: Cast, client: Client) -> None:
    answer = client.post("/api/models/iris/versions/2/retire", {}, content_type=JSON)
    assert answer.status_code == 409
    assert "champion" in answer.json()["detail"]
    assert cast.iris.versions.get(number=2).status == "ready"


def _prediction(cast: Cast, version: ModelVersion, **fields: Any) -> Prediction:
    defaults: dict[str, Any] = {
        "id": mint(),
        "project_id": cast.ours.pk,
        "project": "ours",
        "model": "iris",
        "version": version.number,
        "version_id": version.pk,
        "digest": version.digest,
        "route": "version 3",
        "pool": "default",
        "rows": 1,
        "input": b"{}",
        "deadline_at": version.created_at,
        "next_send_at": version.created_at,
    }
    return Prediction.objects.create(**defaults | fields)


@pytest.mark.parametrize("status", ["starting", "processing"])
def test_a_version_an_open_prediction_needs_is_not_retired(cast: Cast, client: Client, status: str) -> None:
    prediction = _prediction(cast, cast.iris.versions.get(number=3), status=status)
    assert client.post("/api/models/iris/versions/3/retire", {}, content_type=JSON).status_code == 409
    Prediction.objects.filter(pk=prediction.pk).update(status="succeeded", completed_at=prediction.accepted_at)
    assert client.post("/api/models/iris/versions/3/retire", {}, content_type=JSON).status_code == 200


def test_a_retired_version_is_not_routed(cast: Cast, client: Client) -> None:
    answer = client.post("/api/models/iris/versions/3/retire", {"why": "old"}, content_type=JSON)
    assert answer.json()["status"] == "retired"
    assert client.post("/api/models/iris/versions/3/retire", {}, content_type=JSON).status_code == 200
    events = client.get("/api/models/iris/events").json()["results"]
    assert [event["verb"] for event in events].count("retired") == 1
    found = snapshot.refresh(wait=0)
    assert 3 not in found.entries[("ours", "iris")].versions


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("post", "/api/models", {"name": "new", "project": "theirs"}),
        ("post", "/api/models", {"name": "new", "created_at": "2020-01-01T00:00:00Z"}),
        ("patch", "/api/models/iris", {"name": "other"}),
        ("patch", "/api/models/iris", {"project_id": 2}),
        ("put", "/api/models/iris/aliases/champion", {"version": 1, "who": "alice"}),
        ("post", "/api/models/iris/versions/3/retire", {"status": "ready"}),
        ("post", "/api/keys", {"name": "x", "scopes": ["read"], "digest": "0" * 64}),
        ("post", "/api/keys", {"name": "x", "scopes": ["read"], "project": "theirs"}),
    ],
)
def test_a_field_that_is_not_the_clients_to_set_is_refused(
    cast: Cast, client: Client, verb: str, path: str, body: dict[str, Any]
) -> None:
    before = _everything()
    answer: Any = getattr(client, verb)(path, body, content_type=JSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "unknown field"
    assert _everything() == before


def _everything() -> list[Any]:
    kinds: tuple[Any, ...] = (Project, RegisteredModel, ModelVersion, Alias, ApiKey, DeploymentEvent)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


@pytest.mark.parametrize(
    "change",
    [{"hard_limit_s": 0}, {"hard_limit_s": 1e9}, {"open_limit": -1}, {"open_limit": 10**12}, {"pool": "nowhere"}],
)
def test_a_limit_out_of_bounds_is_refused(client: Client, change: dict[str, Any]) -> None:
    assert client.patch("/api/models/iris", change, content_type=JSON).status_code == 422


def test_limits_are_changed_by_name(cast: Cast, client: Client) -> None:
    answer = client.patch("/api/models/iris", {"hard_limit_s": 2.5, "open_limit": 7}, content_type=JSON)
    assert (answer.json()["hard_limit_s"], answer.json()["open_limit"]) == (2.5, 7)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"name":"a","name":"b"}', b'{"name": "\\ud800"}', b"\xff", b"[]"])
def test_a_body_that_is_not_strict_json_is_refused(client: Client, body: bytes) -> None:
    answer = client.post("/api/models", body, content_type=JSON)
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "application/xml", "application/x-pickle"]
)
def test_a_body_of_another_media_type_is_refused(client: Client, kind: str) -> None:
    assert client.post("/api/models", b"name=a", content_type=kind).status_code == 415


def _pages(client: Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while path:
        page = client.get(path).json()
        found += page["results"]
        path = page["next"]
    return found


def test_pages_follow_each_other_without_gap_or_repeat(cast: Cast, client: Client) -> None:
    for number in range(4, 24):
        add_version(cast.iris, number)
    numbers = [version["number"] for version in _pages(client, "/api/models/iris/versions?limit=7")]
    assert numbers == list(range(23, 0, -1))


def test_no_list_counts_its_rows(cast: Cast, client: Client) -> None:
    paths = ["", "/iris/versions", "/iris/aliases", "/iris/events"]
    with CaptureQueriesContext(
        connection,
    ) as asked:
        for path in paths:
            assert client.get("/api/models" + path).status_code == 200
    assert not [query for query in asked.captured_queries if "COUNT(" in query["sql"].upper()]


def test_a_page_is_capped(cast: Cast, client: Client) -> None:
    for number in range(4, 220):
        add_version(cast.iris, number)
    assert len(client.get("/api/models/iris/versions?limit=1000000000").json()["results"]) == 200


def _cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor", ["x", _cursor("p=abc"), _cursor("p=%00"), _cursor("o=-1"), _cursor("p=9" + "9" * 40)]
)
@pytest.mark.parametrize("path", ["/api/models", "/api/models/iris/versions", "/api/models/iris/events", "/api/keys"])
def test_a_made_up_cursor_is_no_fault_of_ours(client: Client, path: str, cursor: str) -> None:
    assert client.get(path, {"cursor": cursor}).status_code in (200, 404, 422)


def _race(attempts: list[Callable[[], object]]) -> list[BaseException | None]:
    """Run all at once, each in a thread with its own connection; what each raised."""
    gate = threading.Barrier(len(attempts))
    raised: list[BaseException | None] = [None] * len(attempts)

    def run(index: int, attempt: Callable[[], object]) -> None:
        gate.wait()
        try:
            attempt()
        except BaseException as error:
            raised[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, attempt)) for index, attempt in enumerate(attempts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.fixture
def stage(transactional_db: None) -> RegisteredModel:
    iris = RegisteredModel.register(Project.start("ours"), "iris")
    for number in range(1, 9):
        add_version(iris, number)
    return iris


def test_alias_moves_at_once_leave_an_unbroken_history(stage: RegisteredModel) -> None:
    versions = list(stage.versions.order_by("number"))
    for _ in range(3):
        moves = [lambda version=version: Alias.point(version, "champion", who="x") for version in versions]
        assert _race(moves) == [None] * len(versions)
    events = list(stage.events.order_by("id"))
    assert events[0].from_version is None
    for before, after in itertools.pairwise(events):
        assert after.from_version == before.to_version
    assert events[-1].to_version == Alias.objects.get().version.number


def test_retiring_and_aliasing_at_once_never_both_succeed(stage: RegisteredModel) -> None:
    for version in stage.versions.all():
        refused = _race(
            [
                lambda version=version: version.retire(who="alice"),
                lambda version=version: Alias.point(version, "champion", who="bob"),
            ]
        )
        assert sum(error is None for error in refused) == 1
        assert any(isinstance(error, errors.Conflict) for error in refused)
        version.refresh_from_db()
        answering = Alias.objects.filter(version=version).exists()
        assert answering == (version.status == "ready")
        Alias.objects.all().delete()
