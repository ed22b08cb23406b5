"""Steady traffic: what its calls are made of, how its rate moves, and that it ends."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from serving_site import supervisor, traffic
from serving_site.traffic import Known, Traffic

ONE = Known((("input", "FP64", 2),), ("1",), ({"a": 1.0, "b": 2.0},))
MANY = Known((("a", "FP64", 1), ("b", "BYTES", 1)), ("1",), ({"a": 1.0, "b": None},))


class Deaf:
    """A server that answers nothing and notes what it was asked."""

    url, unanswered = "http://127.0.0.1:1", 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, method, path, body=None, **headers):
        self.asked.append(path)
        return 0, None


def test_a_request_has_one_tensor_or_one_per_column():
    assert traffic.tensors(ONE, ONE.rows)["inputs"] == [
        {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [[1.0, 2.0]]}
    ]
    assert [item["data"] for item in traffic.tensors(MANY, MANY.rows)["inputs"]] == [[1.0], [None]]


def test_the_rate_moves_around_its_mean():
    run = Traffic(Deaf(), per_second=4.0)
    paces = [run.pace(second) for second in range(int(traffic.WAVE_S))]
    assert min(paces) == pytest.approx(1.6, abs=0.01)
    assert max(paces) == pytest.approx(6.4, abs=0.01)
    assert sum(paces) / len(paces) == pytest.approx(4.0)


@pytest.mark.parametrize("kind", [kind for kind, *_ in traffic.KINDS if kind is not traffic.wrong_key])
def test_every_kind_of_call_goes_out_whatever_comes_back(kind):
    server = Deaf()
    known = {"iris": ONE, "penguins": MANY, traffic.TARIFF: Known((("zone", "INT64", 1),), ("1",), ({"zone": 1},))}
    kind(Traffic(server, known=known), random.Random(1))
    assert server.asked


def test_what_is_published_for_it_has_a_response_cache():
    class Bare(Deaf):
        """A server that has none of its models."""

        def call(self, method, path, body=None, **headers):
            self.asked.append((method, path, body))
            return 404, None

    server = Bare()
    Traffic(server).publish(b"")
    assert server.asked[-1] == ("PATCH", f"/api/models/{traffic.TARIFF}", {"cache_ttl_s": traffic.CACHE_S})


def test_it_ends_when_told_so():
    ended = threading.Event()
    run = Traffic(Deaf(), per_second=50.0, ended=ended, known={"iris": ONE})
    thread = threading.Thread(target=run._calls, args=(0, 0.0))
    thread.start()
    ended.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_tariff_knows_ten_zones_and_fails_for_others():
    session = onnxruntime.InferenceSession(traffic.tariff())
    assert session.run(None, {"zone": np.array([[0]], np.int64)})[0][0, 0] == pytest.approx(2.1)
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, {"zone": np.array([[50]], np.int64)})


class Environment:
    """What the supervisor reads of the settings."""

    def __init__(self, folder: Path, *, traffic: bool) -> None:
        self.ROOT, self.TRAFFIC = folder, traffic
        note = folder / "note"
        (folder / "manage.py").write_text(
            "import os, sys, time\n"
            f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{sys.argv[1:]}} {{os.environ[\"SERVING_ROLE\"]}}')\n"
            "time.sleep(60)\n"
        )


def test_the_supervisor_starts_traffic_where_it_is_asked_for_and_ends_it(tmp_path):
    note = tmp_path / "note"
    with supervisor._traffic(Environment(tmp_path, traffic=True)):
        end = time.monotonic() + 20
        while not (note.exists() and note.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        pid, told = note.read_text().split(" ", 1)
        assert told == "['traffic', '--follow'] traffic"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_without_being_asked_the_supervisor_starts_no_traffic(tmp_path):
    with supervisor._traffic(Environment(tmp_path, traffic=False)):
        time.sleep(0.1)
    assert not (tmp_path / "note").exists()
