"""Who may do what: every route under /api, every method it has, for everyone who may knock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from models_registry import snapshot
from models_registry.models import Alias, ApiKey
from tests.integration.registry.conftest import ALL, Cast, principals

#: What each route's methods need. A route or method that is missing here makes the first test red.
#: "open" needs nothing, "administrator" a superuser; the rest are scopes.
NEEDS: dict[str, dict[str, str]] = {
    "api/schema": {"GET": "open"},
    "api/docs": {"GET": "open"},
    "api/models": {"GET": "read", "POST": "publish"},
    "api/models/<str:name>": {"GET": "read", "PATCH": "manage"},
    "api/models/<str:name>/versions": {"GET": "read", "POST": "publish"},
    "api/models/<str:name>/versions/<int:number>": {"GET": "read"},
    "api/models/<str:name>/versions/<int:number>/retire": {"POST": "manage"},
    "api/models/<str:name>/aliases": {"GET": "read"},
    "api/models/<str:name>/aliases/<str:alias>": {"GET": "read", "PUT": "manage", "DELETE": "manage"},
    "api/models/<str:name>/aliases/<str:alias>/rollback": {"POST": "manage"},
    "api/models/<str:name>/events": {"GET": "read"},
    "api/keys": {"GET": "manage", "POST": "manage"},
    "api/keys/<str:key>": {"GET": "manage", "DELETE": "manage"},
    "api/projects": {"GET": "read", "POST": "administrator"},
    "api/records": {"GET": "read"},
    "api/records/counts": {"GET": "read"},
    "api/records/<uuid:identifier>": {"GET": "read"},
    "api/records/exports": {"GET": "read", "POST": "read"},
    "api/records/exports/<uuid:identifier>": {"GET": "read", "DELETE": "read"},
    "api/records/exports/<uuid:identifier>/file": {"GET": "read"},
    "api/records/searches": {"GET": "read", "POST": "read"},
    "api/records/searches/<int:pk>": {"GET": "read", "PUT": "read", "DELETE": "read"},
    "api/erasures": {"GET": "manage", "POST": "manage"},
    "api/erasures/<uuid:identifier>": {"GET": "manage"},
    "api/logs": {"GET": "manage"},
    "api/logs/<uuid:identifier>": {"GET": "manage"},
}
#: Routes of the monitoring room, whose own tests hold their answers.
ELSEWHERE = ("api/records", "api/erasures", "api/logs")
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def _found() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route, view in _routes(get_resolver().url_patterns):
        if route.startswith("api/"):
            kind = getattr(view, "view_class", None) or view.cls
            found[route] = {verb for verb in VERBS if hasattr(kind, verb.lower())}
    return found


CASES = [(route, verb) for route, verbs in NEEDS.items() if not route.startswith(ELSEWHERE) for verb in verbs]


def _path(route: str, key: ApiKey) -> str:
    filled = {"<str:name>": "iris", "<int:number>": "3", "<str:alias>": "champion", "<str:key>": str(key.pk)}
    for placeholder, value in filled.items():
        route = route.replace(placeholder, value)
    return "/" + route


def _expected(needs: str, who: str) -> set[int] | None:
    """Statuses that refuse; None where the door must be open."""
    if needs == "open":
        return None if who not in ("bad token", "expired", "revoked") else {200, 401}
    if who in ("anonymous", "bad token", "expired", "revoked"):
        return {401}
    if who == "superuser":
        return None
    if needs == "administrator":
        return {403}
    if who == "visitor":
        return {401, 403}
    if who == "other project":
        return None
    return None if who == needs else {403}


def test_every_route_under_api_is_in_the_table() -> None:
    found = {route: verbs for route, verbs in _found().items() if not route.startswith(ELSEWHERE)}
    assert found == {route: set(verbs) for route, verbs in NEEDS.items() if not route.startswith(ELSEWHERE)}


def test_every_foreign_route_under_api_is_known() -> None:
    strangers = {route for route in _found() if route.startswith(ELSEWHERE)} - set(NEEDS)
    assert not strangers


@pytest.mark.parametrize("who", principals)
@pytest.mark.parametrize(("route", "verb"), CASES)
def test_a_method_answers_only_who_may_use_it(cast: Cast, route: str, verb: str, who: str) -> None:
    key, _ = ApiKey.issue(cast.ours, "shown", scopes=["read"])
    needs = NEEDS[route][verb]
    client = cast.client(who)
    answer = client.generic(verb, _path(route, key), data=b"{}", content_type="application/json")
    refused = _expected(needs, who)
    if who == "other project" and "<str" in route and needs != "open":
        # Not ours does not exist; a name nobody has taken yet can be published under.
        assert answer.status_code in (
            {404} if verb != "POST" or "retire" in route or "rollback" in route else {404, 415}
        )
        assert b"alice" not in answer.content
    elif refused is None:
        assert answer.status_code not in {401, 403, 404, 405, 500}, answer.content
    else:
        assert answer.status_code in refused, answer.content


@pytest.mark.parametrize("path", ["/api/models", "/api/keys", "/api/projects"])
def test_a_list_holds_nothing_of_another_project(cast: Cast, path: str) -> None:
    ApiKey.issue(cast.theirs, "their-key", scopes=["read"])
    answer = cast.key("read", "manage").get(path)
    assert answer.status_code == 200
    assert b"secret-model" not in answer.content
    assert b"their" not in answer.content


def test_what_is_foreign_answers_as_what_is_missing(cast: Cast) -> None:
    client = cast.key(*ALL)
    foreign, missing = client.get("/api/models/secret-model"), client.get("/api/models/absent-model")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["code"] == missing.json()["code"]
    assert foreign.content.replace(b"secret", b"absent") == missing.content


def test_a_key_with_a_list_of_models_sees_only_those(cast: Cast) -> None:
    client = cast.key(*ALL, model_names=["other"])
    assert client.get("/api/models").json()["results"] == []
    assert client.get("/api/models/iris").status_code == 404
    assert client.post("/api/models", {"name": "iris2"}, content_type="application/json").status_code == 403
    assert client.post("/api/models/iris/versions", {"file": b""}).status_code == 404


def test_a_key_hands_out_only_what_it_has(cast: Cast) -> None:
    client = cast.key("manage", "read")
    beyond = client.post("/api/keys", {"name": "x", "scopes": ["publish"]}, content_type="application/json")
    within = client.post("/api/keys", {"name": "x", "scopes": ["read"]}, content_type="application/json")
    assert (beyond.status_code, within.status_code) == (403, 201)


def test_a_key_limited_to_models_issues_only_such_keys(cast: Cast) -> None:
    client = cast.key("manage", "read", model_names=["iris"])
    wide = client.post(
        "/api/keys", {"name": "x", "scopes": ["read"], "model_names": ["other"]}, content_type="application/json"
    )
    silent = client.post("/api/keys", {"name": "x", "scopes": ["read"]}, content_type="application/json")
    assert wide.status_code == 403
    assert silent.json()["model_names"] == ["iris"]


def test_a_revoked_key_is_refused_at_once_where_it_was_revoked(cast: Cast) -> None:
    key, secret = ApiKey.issue(cast.ours, "x", scopes=["read"])
    snapshot.refresh(wait=0)
    client = cast.key("read")
    answer = cast.key("manage").delete(f"/api/keys/{key.prefix}")
    assert answer.status_code == 204
    snapshot.refresh(wait=0)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    assert client.get("/api/models", headers={"authorization": f"Bearer {secret}"}).status_code == 401


def test_a_secret_is_shown_once_and_stored_nowhere(cast: Cast) -> None:
    client = cast.key("manage", "read")
    issued = client.post("/api/keys", {"name": "x", "scopes": ["read"]}, content_type="application/json")
    secret = issued.json()["secret"]
    assert issued["Cache-Control"] == "no-store"
    assert secret not in client.get("/api/keys").content.decode()
    assert secret not in client.get(f"/api/keys/{issued.json()['id']}").content.decode()
    assert secret not in repr(list(ApiKey.objects.values()))


def test_staff_without_permission_changes_nothing(cast: Cast) -> None:
    client = cast.client("staff")
    answer = client.delete("/api/models/iris/aliases/champion")
    assert answer.status_code == 403
    assert Alias.objects.filter(name="champion").exists()


def test_anonymous_requests_read_but_never_change(cast: Cast, settings: Any) -> None:
    settings.ANONYMOUS_PROJECT = "ours"
    snapshot.refresh(wait=0)
    client = cast.client("anonymous")
    client.defaults["HTTP_HOST"] = "localhost"
    body = {"version": 1}
    assert client.get("/api/models").status_code == 200
    assert client.put("/api/models/iris/aliases/champion", body, content_type="application/json").status_code == 403
    assert client.get("/api/keys").status_code == 403
