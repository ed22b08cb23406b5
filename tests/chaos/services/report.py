"""A campaign on the services mode as JSON and as Markdown: the verdict, and what clients saw during each fault."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos import report
from tests.chaos.checker import BOLD
from tests.chaos.load import REFUSED
from tests.chaos.services.campaign import Result
from tests.chaos.services.faults import Struck
from tests.chaos.services.timed import Timing

#: Most seconds after a kill that are looked at.
AFTERMATH_S = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients of one door saw of the calls they sent while a fault held; seconds."""

    calls: int
    accepted: int
    refused: int
    unknown: int
    median_s: float
    slowest_s: float


def seen(timings: Sequence[Timing], door: str, begun: float, ended: float) -> Seen:
    within = [timing for timing in timings if timing.door == door and begun <= timing.begun < ended]
    seconds = sorted(timing.seconds for timing in within)
    kinds = [timing.kind for timing in within]
    return Seen(
        calls=len(within),
        accepted=kinds.count("acknowledged"),
        # A 503 that cannot tell whether the commit came through is one, though the client's ledger takes it as unknown.
        refused=sum(1 for timing in within if timing.status in REFUSED),
        unknown=sum(1 for timing in within if timing.kind == "unknown" and timing.status not in REFUSED),
        median_s=round(seconds[len(seconds) // 2], 3) if seconds else math.nan,
        slowest_s=round(seconds[-1], 3) if seconds else math.nan,
    )


def during(result: Result, struck: Struck, door: str) -> Seen:
    """While the fault held; after a kill, which holds for no time, until the first queued prediction finished again."""
    back = result.back_s[result.struck.index(struck)]
    ended = struck.ended + (min(back, AFTERMATH_S) if struck.ended - struck.begun < 1 else 0)
    return seen(result.timings, door, struck.begun, ended)


def document(result: Result) -> dict[str, Any]:
    return {
        "campaign": {**asdict(result.campaign), "faults": [fault.name for fault in result.campaign.faults]},
        "counts": result.verdict.counts,
        "findings": {name: found[:50] for name, found in result.verdict.findings.items()},
        "faults": [
            {
                "fault": struck.fault.name,
                "held_s": round(struck.ended - struck.begun, 2),
                "finished_again_s": round(back, 2),
                "queued": asdict(during(result, struck, "queued")),
                "online": asdict(during(result, struck, "online")),
            }
            for struck, back in zip(result.struck, result.back_s, strict=True)
        ],
        "drain_s": round(result.drain_s, 2),
        "load_s": round(result.load_s, 1),
        "alias_moves": result.moved,
        "versions": report.versions(),
    }


_FAULTS = (
    "",
    "What clients saw of the calls they sent while each fault held, after a kill until predictions finished again (a "
    "third of the queued calls wait up to 5 s for the answer), and when the first one finished after it:",
    "",
    "| fault | queued: accepted | refused (503) | unknown | median, s | slowest, s | online: answered | slowest, s "
    "| finished again, s |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def markdown(result: Result) -> str:
    counts, clean = result.verdict.counts, result.verdict.clean
    lines = [
        f"# Faults in the services mode, seed {result.campaign.seed}",
        "",
        f"{len(result.struck)} faults in {result.load_s:.0f} s of load on both doors, {result.moved} alias changes "
        f"meanwhile. Drained in {result.drain_s:.1f} s. **{'Nothing broken' if clean else 'PROMISES BROKEN'}.**",
        "",
        "| figure | count |",
        "|---|---:|",
        *(f"| {f'**{name}**' if name in BOLD else name} | {count:,} |" for name, count in counts.items()),
        *(_FAULTS if result.struck else []),
    ]
    for struck, back in zip(result.struck, result.back_s, strict=True):
        queued, online = during(result, struck, "queued"), during(result, struck, "online")
        lines.append(
            f"| {struck.fault.name} | {queued.accepted} of {queued.calls} | {queued.refused} | {queued.unknown} "
            f"| {queued.median_s:.3f} | {queued.slowest_s:.3f} | {online.accepted} of {online.calls} "
            f"| {online.slowest_s:.3f} | {back:.1f} |"
        )
    for name in BOLD:
        lines += [f"- {name}: {finding}" for finding in result.verdict.findings[name][:20]]
    return "\n".join(lines) + "\n"
