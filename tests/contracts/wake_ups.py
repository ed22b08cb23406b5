"""What wake-ups keep to, wherever they travel: who listens before it is sent hears, and sending never blocks long."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

from monitoring.ids import mint
from predictions.queued import results
from predictions.queued.waiting import WakeUps

#: Seconds in which a wake-up must have arrived.
HEARD_S = 2.0


class Ear:
    """Hears ids and remembers when."""

    def __init__(self, wake_ups: WakeUps) -> None:
        self.heard: dict[UUID, float] = {}
        self.entries: dict[UUID, Any] = {}
        self._changed = threading.Condition()
        wake_ups.listen(self.hear)

    def hear(self, identifier: UUID, entry: Any = None) -> None:
        with self._changed:
            self.heard[identifier] = time.monotonic()
            self.entries[identifier] = entry
            self._changed.notify_all()

    def wait(self, *ids: UUID, timeout: float = HEARD_S) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: set(ids) <= set(self.heard), timeout)


class WakeUpsContract:
    """`self.sender` is where predictions end, `self.listeners` are server processes that hear already."""

    sender: WakeUps
    listeners: list[WakeUps]

    def test_who_listens_before_it_is_sent_hears(self):
        ear, identifier = Ear(self.listeners[0]), mint()
        self.sender.send([identifier])
        assert ear.wait(identifier)

    def test_every_listener_of_every_process_hears(self):
        ears = [Ear(listener) for listener in self.listeners for _ in range(2)]
        ids = [mint() for _ in range(3)]
        self.sender.send(ids)
        assert all(ear.wait(*ids) for ear in ears)

    def test_a_large_batch_arrives_whole(self):
        ear, ids = Ear(self.listeners[-1]), [mint() for _ in range(10_000)]
        self.sender.send(iter(ids))
        assert ear.wait(*ids, timeout=10)

    def test_what_has_ended_alone_brings_its_result_along(self):
        ears, identifier = [Ear(listener) for listener in self.listeners], mint()
        self.sender.send([identifier], {results.key_of(identifier): [7, "the result"]})
        assert all(ear.wait(identifier) for ear in ears)
        assert [ear.entries[identifier] for ear in ears] == [[7, "the result"]] * len(ears)

    def test_nothing_is_heard_of_what_was_not_sent(self):
        ear, sent = Ear(self.listeners[0]), mint()
        self.sender.send([])
        self.sender.send([sent])
        assert ear.wait(sent)
        assert set(ear.heard) == {sent}

    def test_many_who_send_at_once_are_all_heard(self):
        ear, ids = Ear(self.listeners[0]), [[mint() for _ in range(20)] for _ in range(8)]

        def send(batch: list[UUID]) -> None:
            for identifier in batch:
                self.sender.send([identifier])

        threads = [threading.Thread(target=send, args=(batch,)) for batch in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert ear.wait(*(identifier for batch in ids for identifier in batch), timeout=5)
