"""Who may ask: keys, scopes, lists of models, and requests without a key."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from models_registry import errors, snapshot
from models_registry.models import ApiKey, ModelVersion, Project
from tests import doors
from tests.integration.online.conftest import ask

BODY = json.dumps(ask([1, 2])).encode()
PATH = "/v2/models/adder/infer"


def status_of(door: Any, headers: dict[str, str], path: str = PATH) -> int:
    status, given, body = doors.call(door, path, BODY, headers)
    if status != 200:
        assert list(json.loads(body)) == ["error"]
        assert (status == 401) == ("www-authenticate" in given)
    return status


def key(project: Project, **options: Any) -> dict[str, str]:
    secret = ApiKey.issue(project, "tests", **{"scopes": ["predict"], **options})[1]
    snapshot.refresh()
    return {"Authorization": f"Bearer {secret}"}


def test_no_key_and_a_wrong_key_are_401(door: Any, adder: ModelVersion) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic abc"}):
        assert status_of(door, headers) == 401


def test_the_scope_and_the_list_of_models_are_kept(door: Any, adder: ModelVersion) -> None:
    project = adder.model.project
    assert status_of(door, key(project)) == 200
    assert status_of(door, key(project, scopes=["read"])) == 403
    assert status_of(door, key(project, model_names=["other"])) == 403
    assert status_of(door, key(project, model_names=["adder"])) == 200


def test_another_projects_model_does_not_exist(door: Any, adder: ModelVersion) -> None:
    stranger = key(Project.objects.create(name="stranger"))
    assert status_of(door, stranger) == 404
    assert status_of(door, stranger, "/v2/models/demo/adder/infer") == 404


def test_a_key_that_is_revoked_or_expired_is_refused_within_a_second(adder: ModelVersion) -> None:
    threads = snapshot.background()
    for thread in threads:
        thread.start()
    try:
        revoked, secret = ApiKey.issue(adder.model.project, "a", scopes=["predict"])
        soon = timezone.now() + timedelta(seconds=0.8)
        _, expiring = ApiKey.issue(adder.model.project, "b", scopes=["predict"], expires_at=soon)
        _until(secret, known=True)
        _until(expiring, known=True)
        revoked.revoke()
        _until(secret, known=False)
        time.sleep(max(0.0, (soon - timezone.now()).total_seconds()))
        _until(expiring, known=False)
    finally:
        for thread in threads:
            thread.stop(5)


def _until(secret: str, *, known: bool) -> None:
    end = time.monotonic() + 1
    while _is_known(secret) != known:
        assert time.monotonic() < end, "not within a second"
        time.sleep(0.01)


def _is_known(secret: str) -> bool:
    try:
        snapshot.authenticate(f"Bearer {secret}")
    except errors.NotAuthenticated:
        return False
    return True


@pytest.fixture
def anonymous(adder: ModelVersion, settings: Any) -> None:
    settings.ANONYMOUS_PROJECT = "demo"
    snapshot.refresh()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_without_a_key_the_demo_project_answers_on_loopback(door: Any, anonymous: None, host: str) -> None:
    assert status_of(door, {"Host": host}) == 200
    assert status_of(door, {"Host": host, "Origin": f"http://{host}"}) == 200


def test_without_a_key_only_predict_and_read_are_allowed(anonymous: None) -> None:
    assert snapshot.authenticate(None).scopes == {"predict", "read"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "testserver"},
    ],
)
def test_a_foreign_page_is_refused_while_keys_are_not_needed(
    door: Any, anonymous: None, headers: dict[str, str]
) -> None:
    assert status_of(door, headers) == 403


def test_a_host_that_is_not_ours_is_400(door: Any, adder: ModelVersion) -> None:
    assert status_of(door, {"Host": "evil.example"}) == 400


def test_a_wrong_key_is_401_even_where_none_is_needed(door: Any, anonymous: None) -> None:
    assert status_of(door, {"Authorization": "Bearer nonsense"}) == 401


def test_a_key_is_not_called_unknown_by_a_process_that_knows_none_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server process that has just begun: its client has a good key and may try again."""
    monkeypatch.setattr(snapshot, "_holder", snapshot.Holder())
    with pytest.raises(errors.Unavailable, match="not read yet") as refused:
        snapshot.authenticate("Bearer sbk_good")
    assert refused.value.retry_after == 1
