"""Turns at SQLite's one writer: had in the order of asking, given up in time, and never lost."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, connections, transaction

from serving_site.engines.sqlite3 import turns


def test_turns_are_had_in_the_order_of_asking():
    held, order = turns.Turns(), []
    assert held.take(0)

    def take(number: int) -> None:
        assert held.take(5)
        order.append(number)
        held.leave()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        while len(held._waiting) <= number:
            time.sleep(0.001)
    held.leave()
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4]
    assert held.take(0)


def close_and_fail() -> None:
    connections["default"].close()
    raise ValueError("while it was closed")


def test_who_gives_up_is_passed_over():
    held = turns.Turns()
    assert held.take(0)
    assert not held.take(0.01)
    held.leave()
    assert held.take(0)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_holds_the_turn_until_it_ends_however_it_ends():
    held = turns.at(str(connection.settings_dict["NAME"]))
    with transaction.atomic(), transaction.atomic():
        assert not held.take(0)
    with pytest.raises(ValueError, match="rolled back"), transaction.atomic():
        raise ValueError("rolled back")
    assert held.take(0)
    held.leave()
    with pytest.raises(ValueError, match="while it was closed"), transaction.atomic():
        close_and_fail()
    assert held.take(0)
    held.leave()
