"""What the benchmarks calculate and write: latency from when a call was due, targets, the chapter of README."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench import charts, closed_loop, figures, open_loop, page, plan, targets
from tests.bench.open_loop import Latency, OpenLoop
from tests.bench.sections import latency, profiles

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REFUSAL = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"


class _Stalling(socketserver.ThreadingTCPServer):
    """Answers each call at once, but for one stall of all of them."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, *, stall_s: float, answers: bytes = ANSWER) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.until, self.answers = time.monotonic() + stall_s, answers


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        while self.request.recv(65536):
            time.sleep(max(0.0, server.until - time.monotonic()))
            self.request.sendall(server.answers)


def _run(server: _Stalling, **options: Any) -> open_loop.Latency:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        call = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        return OpenLoop(("127.0.0.1", server.server_address[1]), call, **options).run()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_stall_counts_for_every_call_that_was_due_in_it() -> None:
    # 100 calls are due within half a second; a closed loop over two connections would have met the stall twice.
    found = _run(_Stalling(stall_s=0.6), rate=200, seconds=0.5, connections=2)
    assert (found.answered, found.refused, found.unanswered) == (100, 0, 0)
    assert found.p50_ms > 200


def test_a_refused_call_is_not_done() -> None:
    found = _run(_Stalling(stall_s=0, answers=REFUSAL), rate=100, seconds=0.1, connections=2)
    assert (found.answered, found.refused, found.rate) == (0, 10, 0)


@pytest.mark.parametrize(
    ("received", "status"),
    [
        (ANSWER, 200),
        (ANSWER[:-1], 0),
        (REFUSAL, 503),
        (b"HTTP/1.1 200 OK\r\nContent-Len", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200),
    ],
)
def test_an_answer_is_whole_only_with_its_last_byte(received: bytes, status: int) -> None:
    assert open_loop.complete(received) == status


def test_percentiles_are_nearest_ranks() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [open_loop.percentile(hundred, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert open_loop.percentile([7.0], 0.99) == 7
    assert open_loop.percentile([], 0.5) == 0


def test_an_unanswered_call_counts_with_all_its_patience() -> None:
    found = open_loop.summary(10, 1, [0.001] * 9, [0.0], refused=0, unanswered=1)
    assert (found.p50_ms, found.max_ms, found.rate) == (1, open_loop.PATIENCE_S * 1000, 9)


@pytest.mark.parametrize(("held_up_ms", "kept", "windows"), [((1, 9), 1, 1), ((9, 2, 1), 2, 2), ((9, 7, 8, 1), 7, 3)])
def test_a_window_in_which_the_generator_was_held_up_is_taken_again(
    held_up_ms: tuple[int, ...], kept: int, windows: int
) -> None:
    coming = iter(held_up_ms)

    def window() -> Latency:
        return open_loop.summary(10, 1, [0.001], [0.0], refused=0, unanswered=0, held_up=next(coming) / 1000)

    found, count = latency.undisturbed(window)
    assert (found.held_up_ms, count) == (pytest.approx(kept), windows)


def test_refused_calls_of_wrk_are_subtracted() -> None:
    said = 'Running …\n{"requests":100,"micros":2000000,"refused":40,"broken":1,"p50":1.5,"p99":9.25}\n'
    found = closed_loop.parsed(said)
    assert (found.rate, found.answered, found.refused, found.broken, found.p99_ms) == (30, 60, 40, 1, 9.25)


def test_plan_is_read_from_the_environment() -> None:
    assert plan.from_environment({}) == plan.Plan()
    quick = plan.from_environment({"QUICK": "1", "ONLY": "online, queued", "ROUNDS": "2"})
    assert (quick.peers, quick.rounds, quick.only, quick.folder) == (False, 2, ("online", "queued"), plan.QUICK)
    assert quick.wants("queued")
    assert not quick.wants("latency")
    assert not plan.from_environment({"QUICK": "1"}).wants("growth")
    assert plan.from_environment({"QUICK": "1", "ONLY": "growth"}).wants("growth")


def _online(*rates: tuple[str, float]) -> dict[str, Any]:
    rows = [
        {"contender": name, "work": "iris", "connections": 16, "rate": rate, "p50_ms": 1.0, "p99_ms": 2.0}
        | {"refused": 3, "broken": 0}
        for name, rate in rates
    ]
    facts = {name: {"label": name.upper(), "switched": "all on"} for name, _ in rates}
    return {"rounds": 5, "seconds": 2.0, "contenders": facts, "missing": {"mlflow": "no room"}, "rows": rows}


def test_targets_compare_with_the_best_of_the_peers() -> None:
    measured = {"online": _online(("ours", 300.0), ("triton-onnx", 100.0), ("triton-sklearn", 150.0))}
    first = targets.TARGETS[0]
    assert first.found(measured) == 2
    assert page.verdict(first, 2.0) == "reached"
    assert page.verdict(first, 1.2) == "**not reached**, 20 % short"
    assert page.verdict(first, None) == "not measured"
    assert all(target.found({}) is None for target in targets.TARGETS)


def test_of_all_formats_the_one_that_grows_most_counts() -> None:
    exports = [{"tenth_mb": 200, "most_mb": 204}, {"tenth_mb": 200, "most_mb": 230}]
    measured = {"searches": {"rows": [{"store": "SQLite", "exports": exports}]}}
    assert targets.grown(store="SQLite")(measured) == pytest.approx(15)


def test_what_is_switched_off_costs_its_share() -> None:
    measured = {"online": _online(("ours", 80.0), ("ours-without-records", 100.0))}
    assert targets.without("records")(measured) == pytest.approx(20)


def test_the_chapter_tells_what_was_measured_and_what_is_missing(tmp_path: Path) -> None:
    figures.write(tmp_path, "online", _online(("ours", 1234.0), ("triton-onnx", 1000.0)), took_s=1)
    text = page.text(tmp_path)
    assert "| iris | 16 | OURS | all on | 1,234 | 1 | 2 | 3 |" in text
    assert (
        "| online, iris, 16 connections, beside Triton's best | ≥ 1.5 × | 1.23 × | **not reached**, 18 % short |"
        in text
    )
    assert "mlflow is missing: no room" in text
    assert json.loads((tmp_path / "online.json").read_text())["machine"]["cores"] >= 1


def test_more_models_registered_and_more_in_use_are_told_apart(tmp_path: Path) -> None:
    load = {"p50_ms": 1.0, "p99_ms": 2.0, "refused": 3, "broken": 0}
    sizes = {(1, 1): 100.0, (1000, 1): 99.0, (50, 50): 80.0, (1000, 50): 72.0}
    rows = [{"registered": one, "used": used, "rate": rate} | load for (one, used), rate in sizes.items()]
    figures.write(tmp_path, "growth", {"room": 100, "rows": rows}, took_s=1)
    text = page.text(tmp_path)
    assert "| 1,000 | 50 | 72 | 1 | 2 | 3 |" in text
    assert "| slower with 1,000 registered models, 50 in use | ≤ 15 % | 28 % | **not reached**, 87 % over |" in text
    assert "| slower with 1,000 registered models than with 50, the same 50 in use | ≤ 15 % | 10 % | reached |" in text


def test_readme_shows_the_kept_figures() -> None:
    assert page.written(page.README.read_text()) == page.text(plan.KEPT)


def test_charts_are_well_formed_and_small(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    stacks = Counter({("a & b (x.py:1)", "c<d> (y.py:2)"): 90, ("a & b (x.py:1)",): 9, ("rare (z.py:3)",): 0})
    for drawn in (
        charts.bars("p < q", "/s", [("ours", 2.0, True), ("theirs", 1.0, False)], ("aim", 1.5)),
        charts.flame("title", stacks),
    ):
        assert ElementTree.fromstring(drawn).tag.endswith("svg")
    with pytest.raises(ValueError, match="would have"):
        charts.write(tmp_path / "large.svg", "x" * (charts.MOST_OCTETS + 1))


def test_a_profile_leaves_out_what_only_waits(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_text(
        "outer (granian.py:1);application (serving_site/wsgi.py:9);infer (inference.py:3) 7\n"
        "run (threading.py:1);Ticker._run (monitoring/background.py:2);wait (threading.py:331) 50\n"
        " 30\n"
        "run (threading.py:1);Recorder.round (monitoring/recorder.py:5) 3\n"
    )  # fmt: skip
    profile = profiles.Profile("x", profiles.parsed(raw))
    assert sum(profile.stacks.values()) == 10
    assert profile.top(1) == [{"function": "application (serving_site/wsgi.py:9)", "total": 70.0, "own": 0.0}]
