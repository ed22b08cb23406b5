"""What is aimed at, row by row, and what the kept figures say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
#: Section → what it measured; a section never run is missing.
Measured = Mapping[str, Document]


@dataclass(frozen=True)
class Target:
    """`found` gives the figure, or None where it was not measured; `more` says whether more is better."""

    work: str
    aim: float
    unit: str
    found: Callable[[Measured], float | None]
    more: bool = True

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.more else '≤'} {self.aim:g} {self.unit}"

    def reached(self, figure: float) -> bool:
        return figure >= self.aim if self.more else figure <= self.aim


def online_rate(measured: Measured, contender: str, work: str, connections: int) -> float | None:
    for row in measured.get("online", {}).get("rows", []):
        if (row["contender"], row["work"], row["connections"]) == (contender, work, connections):
            return float(row["rate"])
    return None


def ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def beside(work: str, connections: int, *contenders: str) -> Callable[[Measured], float | None]:
    """Ours against the best of these."""

    def found(measured: Measured) -> float | None:
        rates = [rate for name in contenders if (rate := online_rate(measured, name, work, connections)) is not None]
        return ratio(online_rate(measured, "ours", work, connections), max(rates, default=None))

    return found


def without(what: str) -> Callable[[Measured], float | None]:
    """Per cent of online throughput that it costs."""

    def found(measured: Measured) -> float | None:
        share = ratio(
            online_rate(measured, "ours", "iris", 16), online_rate(measured, f"ours-without-{what}", "iris", 16)
        )
        return None if share is None else 100 * (1 - share)

    return found


def _binary(measured: Measured) -> float | None:
    return ratio(online_rate(measured, "ours", "wide, binary", 16), online_rate(measured, "ours", "wide", 16))


def _binary_beside(measured: Measured) -> float | None:
    return beside("wide, binary", 16, "triton-onnx", "triton-sklearn")(measured)


def latency_row(measured: Measured, contender: str, share: float, beside: str) -> Document | None:
    for row in measured.get("latency", {}).get("rows", []):
        if (row["contender"], row["share"], row["beside"]) == (contender, share, beside):
            return dict(row)
    return None


def _own_p99(measured: Measured) -> float | None:
    row = latency_row(measured, "ours", 0.5, "ours")
    return None if row is None else float(row["p99_ms"])


def _worst_beside(measured: Measured) -> float | None:
    """The largest of our p99 over a peer's p99 at the same rate, which is half of the peer's maximum."""
    shares = []
    for row in measured.get("latency", {}).get("rows", []):
        if row["contender"] == "ours" and row["beside"] != "ours":
            theirs = latency_row(measured, row["beside"], 0.5, row["beside"])
            if theirs is not None and theirs["p99_ms"]:
                shares.append(row["p99_ms"] / theirs["p99_ms"])
    return max(shares, default=None)


def row_of(measured: Measured, section: str, **wanted: Any) -> Document:
    for row in measured.get(section, {}).get("rows", []):
        if all(row.get(name) == value for name, value in wanted.items()):
            return dict(row)
    return {}


def figure(section: str, name: str, **wanted: Any) -> Callable[[Measured], float | None]:
    return lambda measured: row_of(measured, section, **wanted).get(name)


def grown(**wanted: Any) -> Callable[[Measured], float | None]:
    """How much more memory the rest of an export took than its first tenth, %; of all formats the most."""

    def read(measured: Measured) -> float | None:
        shares = [one["most_mb"] / one["tenth_mb"] for one in row_of(measured, "searches", **wanted).get("exports", [])]
        return 100 * (max(shares) - 1) if shares else None

    return read


def wait(section: str) -> Callable[[Measured], float | None]:
    return lambda measured: measured.get(section, {}).get("wait", {}).get("p50_ms")


def quotient(
    one: Callable[[Measured], float | None], other: Callable[[Measured], float | None]
) -> Callable[[Measured], float | None]:
    return lambda measured: ratio(one(measured), other(measured))


def slower(
    before: Callable[[Measured], float | None], after: Callable[[Measured], float | None]
) -> Callable[[Measured], float | None]:
    """Per cent by which the second rate is lower."""

    def found(measured: Measured) -> float | None:
        share = ratio(after(measured), before(measured))
        return None if share is None else 100 * (1 - share)

    return found


ONLINE_PEERS = ("triton-onnx", "triton-sklearn", "mlserver-onnx", "mlserver-sklearn", "bentoml", "litserve", "mlflow")
TRITON = ("triton-onnx", "triton-sklearn")
COMPLETED = figure("queued", "completed_per_s", contender="ours")

TARGETS: tuple[Target, ...] = (
    Target("online, iris, 16 connections, beside Triton's best", 1.5, "×", beside("iris", 16, *TRITON)),
    Target("online, iris, 64 connections, beside Triton's best", 2, "×", beside("iris", 64, *TRITON)),
    Target("online, iris, 16 connections, beside Triton with the same ONNX", 1.5, "×", beside("iris", 16, TRITON[0])),
    Target("online, iris, 64 connections, beside Triton with the same ONNX", 2, "×", beside("iris", 64, TRITON[0])),
    Target(
        "online, iris, 16 connections, beside MLServer, scikit-learn", 12, "×", beside("iris", 16, "mlserver-sklearn")
    ),
    Target("online, random forest of 100, beside Triton with the same ONNX", 1.2, "×", beside("forest", 16, TRITON[0])),
    Target(
        "online, random forest of 100, beside MLServer, scikit-learn", 50, "×", beside("forest", 16, "mlserver-sklearn")
    ),
    Target("online, 1,000 × 30 in JSON, beside the best peer", 1.5, "×", beside("wide", 16, *ONLINE_PEERS)),
    Target("online, 1,000 × 30, binary beside our own JSON", 5, "×", _binary),
    Target("online, 1,000 × 30, binary beside Triton's best", 1.5, "×", _binary_beside),
    Target("online p99 at half of the own maximum", 3, "ms", _own_p99, more=False),
    Target("our p99 over a peer's p99 at half the peer's maximum, worst peer", 1, "×", _worst_beside, more=False),
    Target(
        "queued, completed, 128 clients, beside FastAPI + Celery",
        5,
        "×",
        quotient(COMPLETED, figure("queued", "completed_per_s", contender="fastapi_celery")),
    ),
    Target(
        "queued, embedded, completed, 64 clients", 2000, "/s", figure("embedded", "completed_per_s", contender="ours")
    ),
    Target("`Prefer: wait`, idle, services mode, p50", 15, "ms", wait("queued"), more=False),
    Target("`Prefer: wait`, idle, embedded, p50", 10, "ms", wait("embedded"), more=False),
    Target("what monitoring costs online throughput", 10, "%", without("monitoring"), more=False),
    Target("what records cost online throughput", 25, "%", without("records"), more=False),
    Target(
        "two server processes beside one, model of ≥ 5 ms",
        1.8,
        "×",
        quotient(
            figure("processes", "rate", contender="two processes"), figure("processes", "rate", contender="one process")
        ),
    ),
    Target(
        "slower with a ledger of 1,000,000 rows",
        15,
        "%",
        slower(
            figure("ledger", "completed_per_s", ledger_rows=0), figure("ledger", "completed_per_s", ledger_rows=10**6)
        ),
        more=False,
    ),
    Target(
        "slower with 1,000 registered models, 50 in use",
        15,
        "%",
        slower(figure("growth", "rate", registered=1), figure("growth", "rate", registered=1000, used=50)),
        more=False,
    ),
    Target(
        "slower with 1,000 registered models than with 50, the same 50 in use",
        15,
        "%",
        slower(figure("growth", "rate", registered=50, used=50), figure("growth", "rate", registered=1000, used=50)),
        more=False,
    ),
    Target(
        "slower with 512 connections than with 16",
        15,
        "%",
        slower(figure("connections", "rate", connections=16), figure("connections", "rate", connections=512)),
        more=False,
    ),
    Target(
        "records shipped by one keeper to Elasticsearch as `make stack` starts it (Java's first compiler alone)",
        5000,
        "/s",
        lambda found: found.get("records", {}).get("rate"),
    ),
    Target(
        "usual searches of 1,000,000 records in Elasticsearch, p95",
        300,
        "ms",
        figure("searches", "p95_ms", store="Elasticsearch", records=1_000_000),
        more=False,
    ),
    Target(
        "usual searches of 200,000 records in SQLite, p95",
        500,
        "ms",
        figure("searches", "p95_ms", store="SQLite", records=200_000),
        more=False,
    ),
    Target(
        "export of 1,000,000 records from Elasticsearch, memory grown after the first tenth",
        10,
        "%",
        grown(store="Elasticsearch", records=1_000_000),
        more=False,
    ),
)
