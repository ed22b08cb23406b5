"""How waiting rows are put into messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from monitoring.ids import mint
from predictions.queued import nudges
from predictions.queued.nudges import NotTaken, Nudge, Publisher
from tests.waiting import eventually

VERSION = uuid4()
CHEAP = (1e-5, 2e-5, 1e-4)
DEAR = (0.05, 0.4, 3.2)


def made(count: int, **fields: Any) -> list[Nudge]:
    given = {"version_id": VERSION, "pool": "default", "priority": "standard", "rows": 1, "size": 50} | fields
    return [Nudge(id=mint(), **given) for _ in range(count)]


def sizes(some: list[Nudge], cost: tuple[float, float, float] | None = CHEAP) -> list[int]:
    return [len(message.ids) for message in nudges.batches(some, lambda _: cost)]


def test_cheap_predictions_travel_by_256():
    assert sizes(made(600)) == [256, 256, 88]


def test_a_message_is_about_a_fifth_of_a_second_of_work():
    assert sizes(made(10), DEAR) == [3, 3, 3, 1]
    assert sizes(made(2), (5.0, 40.0, 320.0)) == [1, 1]


def test_a_message_carries_at_most_8_mib_of_input():
    assert sizes(made(3, size=5 * 2**20)) == [1, 1, 1]


def test_a_row_that_runs_alone_travels_alone():
    assert sizes([*made(2), *made(1, alone=True), *made(2)]) in ([1, 4], [4, 1])


def test_versions_and_queues_do_not_mix():
    some = [*made(2), *made(2, priority="bulk"), *made(2, version_id=uuid4())]
    assert sizes(some) == [2, 2, 2]


def test_the_oldest_go_first():
    some = made(300)
    [first, second] = nudges.batches(reversed(some), lambda _: CHEAP)
    assert [*first.ids, *second.ids] == [nudge.id for nudge in some]


def test_a_message_that_its_queue_refuses_is_dropped_and_the_next_goes():
    sent: list[UUID] = []

    def send(message: Any) -> None:
        if message.queue.endswith("bulk"):
            raise NotTaken
        sent.extend(message.ids)

    publisher = Publisher(send)
    publisher.hint([*made(1, priority="bulk"), *made(1)])
    publisher.flush()
    assert (len(sent), publisher.dropped) == (1, 1)


def test_nudges_wait_for_a_broker_that_is_away_and_go_when_it_is_back(monkeypatch):
    monkeypatch.setattr(nudges, "AGAIN_S", 0.0)
    broker: dict[str, bool] = {"away": True}
    sent: list[UUID] = []

    def send(message: Any) -> None:
        if broker["away"]:
            raise OSError("no broker")
        sent.extend(message.ids)

    publisher = Publisher(send)
    publisher.hint(made(2))
    assert publisher.flush(), "what could not be sent is held"
    broker["away"] = False
    assert not publisher.flush()
    assert (len(sent), publisher.dropped) == (2, 0)


def test_paced_messages_gather_while_two_are_under_way():
    sent: list[Any] = []
    publisher = Publisher(sent.append, paced=True)
    for _ in range(5):
        publisher.hint(made(1))
        publisher.flush()
    assert [len(message.ids) for message in sent] == [1, 1]
    publisher.done(sent[0].queue)
    publisher.flush()
    assert [len(message.ids) for message in sent] == [1, 1, 3]


@pytest.mark.parametrize(("is_behind", "messages"), [(True, [5]), (False, [1, 4])])
def test_ids_gather_while_the_workers_are_behind(is_behind, messages, monkeypatch):
    monkeypatch.setattr(nudges, "GATHER_S", 0.5)
    sent: list[Any] = []
    publisher = Publisher(sent.append, is_behind=lambda: is_behind)
    publisher.start()
    publisher.hint(made(1))
    if not is_behind:
        eventually(lambda: sent)
    publisher.hint(made(4))
    eventually(lambda: sum(len(message.ids) for message in sent) == 5)
    publisher.stop(5)
    assert [len(message.ids) for message in sent] == messages


def test_a_message_that_is_never_taken_does_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(nudges, "HELD_S", 0.0)
    sent: list[Any] = []
    publisher = Publisher(sent.append, paced=True)
    for _ in range(4):
        publisher.hint(made(1))
        publisher.flush()
    assert len(sent) == 4


def test_beyond_its_bound_hints_are_dropped(monkeypatch):
    monkeypatch.setattr(nudges, "MOST_WAITING", 3)
    publisher = Publisher(lambda message: None)
    publisher.hint(made(5))
    assert publisher.dropped == 2
