"""More registered models than there is memory for: every one answers, those in use stay loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from models_registry import loaded, snapshot
from models_registry.models import Alias, ModelVersion, RegisteredModel
from monitoring.health import State
from serving_site import watching
from tests import cast
from tests.integration.online.conftest import Infer

ROOM = 3


@pytest.fixture
def six(transactional_db: None) -> Iterator[list[ModelVersion]]:
    """m0 to m5, each with a champion, and room for three."""
    shelf = snapshot._holder.loaded
    before, shelf.limit = shelf.limit, ROOM * loaded.LEAST_OCTETS
    versions = [cast.register("demo", f"m{number}", cast.adder(number)) for number in range(6)]
    snapshot.refresh()
    yield versions
    shelf.limit = before
    snapshot.close()


def test_as_many_are_loaded_ahead_as_there_is_room_for_and_the_process_is_ready(six: Any) -> None:
    assert snapshot.loaded_count() == ROOM
    part = watching.models()
    assert (part.state, part.detail) == (State.OK, "3 versions are loaded, 3 are when they are asked for")


def test_every_model_answers_and_memory_stays_bounded(six: Any, secret: str, infer: Infer) -> None:
    for _ in range(2):
        for number in range(6):
            status, _, answer = infer(path=f"/v2/models/m{number}/infer")
            assert (status, answer["outputs"][1]["data"]) == (200, [number])
            assert snapshot._holder.loaded.octets <= ROOM * loaded.LEAST_OCTETS
            snapshot._holder.tick()


def test_a_promotion_takes_over_although_there_is_no_room(six: list[ModelVersion], secret: str, infer: Infer) -> None:
    [serving] = [one for one in six if snapshot.is_warm(snapshot.version(one.pk))][:1]
    newer = cast.register("demo", serving.model.name, cast.adder(9), alias=None)
    Alias.point(newer, "champion", who="tests")
    snapshot.refresh()
    assert snapshot.is_warm(snapshot.version(newer.pk)), "loaded before anybody asked"
    assert infer(path=f"/v2/models/{serving.model.name}/infer")[2]["outputs"][1]["data"] == [9]
    assert snapshot.loaded_count() <= ROOM + 1


def test_room_that_becomes_free_is_used(six: list[ModelVersion]) -> None:
    gone = next(one for one in six if snapshot.is_warm(snapshot.version(one.pk)))
    gone.aliases.get().remove(who="tests")
    gone.retire(who="tests")
    for _ in range(2):
        snapshot.refresh()
    assert gone.pk not in snapshot.current().versions
    assert snapshot.loaded_count() == ROOM


def test_what_a_model_says_of_its_versions_is_read_again_and_they_are_not(six: list[ModelVersion]) -> None:
    before = snapshot.version(six[0].pk)
    RegisteredModel.objects.get(pk=six[0].model_id).configure(hard_limit_s=3.5, cache_ttl_s=7)
    snapshot.refresh()
    after = snapshot.version(six[0].pk)
    assert (after.hard_limit_s, after.cache_ttl_s) == (3.5, 7)
    assert after.signature is before.signature
    assert snapshot.version(six[1].pk) is not None
