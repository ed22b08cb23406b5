"""README's chapter of figures, written from what was measured: targets first, then every row, charts and profiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench import charts, figures, scale_page
from tests.bench.machine import ROOT
from tests.bench.plan import KEPT
from tests.bench.targets import TARGETS, Measured, Target

README = ROOT / "README.md"
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
SECTIONS = (
    *("online", "latency", "queued", "embedded", "processes"),
    *("records", "ledger", "growth", "scale", "connections", "searches", "profiles"),
)
#: What was found beside the figures, written by hand; one Markdown file.
NOTES = "notes.md"


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """Every section that was ever run into this folder."""
    return {name: document for name in SECTIONS if (document := figures.read(folder, name))}


def text(folder: Path) -> str:
    """The chapter in Markdown."""
    found = measured(folder)
    if not found:
        return "Nothing was measured yet: `make bench`."
    notes = folder / NOTES
    parts = [
        _head(found),
        "\n".join(_targets(found)),
        *_online(found),
        *_latency(found),
        *_queued(found),
        *_processes(found.get("processes", {})),
        *_grown(found.get("growth", {})),
        *searches(found),
        *scale_page.text(found.get("scale", {})),
        *_pictures(folder),
        *_profiles(found),
        notes.read_text().strip() if notes.exists() else "",
    ]
    return "\n\n".join(part for part in parts if part)


def write(folder: Path) -> None:
    """Draw the charts, and put the chapter between README's marks."""
    for name, drawn in drawings(measured(folder)).items():
        charts.write(folder / f"{name}.svg", drawn)
    readme = README.read_text()
    if BEGIN in readme:
        start, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
        README.write_text(f"{readme[:start]}\n{text(folder)}\n{readme[end:]}")


def written(readme: str) -> str:
    """What stands between the marks now."""
    return readme[readme.index(BEGIN) + len(BEGIN) : readme.index(END)].strip()


def drawings(found: Measured) -> dict[str, str]:
    """Charts by file name without suffix."""
    drawn = {}
    online = found.get("online", {})
    for work, connections in dict.fromkeys((row["work"], row["connections"]) for row in online.get("rows", [])):
        rows = [row for row in online["rows"] if (row["work"], row["connections"]) == (work, connections)]
        values = [(_label(online, row["contender"]), row["rate"], row["contender"] == "ours") for row in rows]
        values.sort(key=lambda value: -value[1])
        name = f"online-{work.replace(', ', '-')}-{connections}"
        drawn[name] = charts.bars(f"online, {work}, {connections} connections, one server core", "/s", values)
    latency = found.get("latency", {})
    own = [row for row in latency.get("rows", []) if row["contender"] == row["beside"] and row["share"] == 0.5]
    if own:
        values = [(_label(latency, row["contender"]), row["p99_ms"], row["contender"] == "ours") for row in own]
        values.sort(key=lambda value: value[1])
        drawn["latency-p99"] = charts.bars("p99 at half of each server's own maximum, open loop", "ms", values)
    queued = found.get("queued", {})
    if queued:
        values = [
            (_label(queued, row["contender"]), row["completed_per_s"], row["contender"] == "ours")
            for row in queued["rows"]
        ]
        drawn["queued"] = charts.bars("queued, accepted and completed, 128 clients, both cores", "/s", values)
    if "scale" in found:
        drawn["scale"] = scale_page.drawing(found["scale"])
    return drawn


def _head(found: Measured) -> str:
    machine = next(iter(found.values()))["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    made = sorted(document["made"] for document in found.values())
    rounds = _rounds(found) or [1]
    busy = max(document["load"] for document in found.values())
    return (
        f"`make bench`, {made[0]} to {made[-1]}: {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, {versions}. Server on one "
        "core, load generator on the other, all in one run; servers take turns within each round, and ours stand "
        f"still while others are measured; medians of {min(rounds)} to {max(rounds)} rounds. Everybody "
        "serves the same ONNX file where it can load one, and every server had to give the right answers first. A "
        "refused call counts as "
        "not done. Ours has authentication, metrics and the record (in the spool before the answer) switched on "
        "unless its row says otherwise; embedded, a process on the same core stores the records, in what time the "
        "server leaves: while it is asked for all it can, they wait in the spool. `Prefer: wait` is asked "
        "one after the other, once all that the load before it has left to do is done. Most processes that "
        f"wanted a core while it ran: {busy:g}."
    )


def _rounds(found: Measured) -> list[int]:
    return [document["rounds"] for document in found.values() if "rounds" in document]


def _targets(found: Measured) -> Iterator[str]:
    yield "| work | aim | measured | |\n|---|---:|---:|---|"
    for target in TARGETS:
        figure = target.found(found)
        yield f"| {target.work} | {target.wanted} | {_figure(target, figure)} | {verdict(target, figure)} |"


def _figure(target: Target, figure: float | None) -> str:
    return "—" if figure is None else f"{charts.shown(figure)} {target.unit}"


def verdict(target: Target, figure: float | None) -> str:
    """Reached or not, and by how much of the aim."""
    if figure is None:
        return "not measured"
    if target.reached(figure):
        return "reached"
    away = 100 * abs(target.aim - figure) / target.aim
    return f"**not reached**, {away:.0f} % {'short' if target.more else 'over'}"


def _online(found: Measured) -> Iterator[str]:
    online = found.get("online")
    if not online:
        return
    lines = [
        f"**Online, closed loop** ({online['rounds']} rounds of {online['seconds']:g} s)",
        "",
        "| work | connections | server | on or off | answered/s | p50 ms | p99 ms | refused |",
        "|---|---:|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['work']} | {row['connections']} | {_label(online, row['contender'])} | "
        f"{online['contenders'][row['contender']]['switched']} | {_load(row)} |"
        for row in online["rows"]
    ]
    lines += [f"\n{_label(online, name)} is missing: {reason}" for name, reason in online.get("missing", {}).items()]
    yield "\n".join(lines)


def _latency(found: Measured) -> Iterator[str]:
    latency = found.get("latency")
    if not latency:
        return
    lines = [
        f"**Latency, open loop** ({latency['rounds']} rounds of {latency['seconds']:g} s, iris, at most 64 "
        "connections; counted from when a call was due, each window after a rest; "
        f"{latency['again']} windows were taken again because the generator had been kept from its own core)",
        "",
        "| server | rate | calls/s | p50 ms | p99 ms | generator late, p99 ms | refused |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in latency["rows"]:
        share = f"{row['share']:.0%} of its own" if row["share"] else f"as {_label(latency, row['beside'])}'s 50%"
        lines.append(
            f"| {_label(latency, row['contender'])} | {share} | {charts.shown(row['asked_rate'])} | "
            f"{row['p50_ms']:.3g} | {row['p99_ms']:.3g} | {row['late_p99_ms']:.2g} | "
            f"{row['refused'] + row['unanswered']:g} |"
        )
    yield "\n".join(lines)


def _load(row: Mapping[str, Any]) -> str:
    """Cells of one closed loop: answered/s, p50 and p99 in ms, refused."""
    return f"{charts.shown(row['rate'])} | {row['p50_ms']:.3g} | {row['p99_ms']:.3g} | {row['refused'] + row['broken']}"


def _queued(found: Measured) -> Iterator[str]:
    head = "| mode | server | clients | accepted/s | completed/s | p50 ms | p99 ms | refused |"
    title = "**Queued, both cores** (services mode: each window of ours once the records of the one before are shipped)"
    lines = [title, "", head, "|---|---|---:|---:|---:|---:|---:|---:|"]
    for mode, section in (("services", "queued"), ("embedded", "embedded")):
        document: Mapping[str, Any] = found.get(section, {})
        lines += [
            f"| {mode} | {_label(document, row['contender'])} | {row['clients']:g} | "
            f"{charts.shown(row['accepted_per_s'])} | {charts.shown(row['completed_per_s'])} | "
            f"{row['p50_ms']:.3g} | {row['p99_ms']:.3g} | {row['refused'] + row['broken']:g} |"
            for row in document.get("rows", [])
        ]
    if len(lines) > 4:
        yield "\n".join(lines)


def _processes(document: Mapping[str, Any]) -> Iterator[str]:
    if not document:
        return
    lines = [
        f"**Server processes, each on a core of its own** (a model of {document['p50_of_one_call_ms']:.3g} ms; "
        f"{document['switched']})",
        "",
        "| server | answered/s | p50 ms | p99 ms | refused |\n|---|---:|---:|---:|---:|",
    ]
    lines += [f"| {row['contender']} | {_load(row)} |" for row in document["rows"]]
    yield "\n".join(lines)


def _grown(document: Mapping[str, Any]) -> Iterator[str]:
    if not document:
        return
    lines = [
        f"**Registered models, and how many of them are called in turn** (room for {document['room']} in memory)",
        "",
        "| registered | called | answered/s | p50 ms | p99 ms | refused |\n|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| {row['registered']:,} | {row['used']} | {_load(row)} |" for row in document["rows"]]
    yield "\n".join(lines)


def searches(found: Measured) -> Iterator[str]:
    """Per store: every search, all of them together, and the exports with this process's memory."""
    for row in found.get("searches", {}).get("rows", []):
        lines = [
            f"**{row['records']:,} records in {row['store']}** (stored {charts.shown(row['seeded_per_s'])}/s by one "
            "process)",
            "",
            "| search | p50 ms | p95 ms | found |\n|---|---:|---:|---:|",
        ]
        lines += [
            f"| {one['search']} | {one['p50_ms']:.3g} | {one['p95_ms']:.3g} | {one['found']:,} |"
            for one in row["searches"]
        ]
        lines += [f"| **all but the timelines** | {row['p50_ms']:.3g} | **{row['p95_ms']:.3g}** | |", ""]
        lines.append(
            "| export of all | records/s | file MB | memory at first, MB | most in the first tenth, MB | most, MB |\n"
            "|---|---:|---:|---:|---:|---:|"
        )
        lines += [
            f"| {one['form']} | {charts.shown(one['per_s'])} | {one['file_mb']:.3g} | {one['memory_mb']:.3g} | "
            f"{one['tenth_mb']:.3g} | {one['most_mb']:.3g} |"
            for one in row["exports"]
        ]
        yield "\n".join(lines)


def _pictures(folder: Path) -> Iterator[str]:
    pictures = sorted(path for path in folder.glob("*.svg") if not path.name.startswith("profile-"))
    if pictures:
        yield "\n".join(f"![{path.stem}]({_address(path)})" for path in pictures)


def _profiles(found: Measured) -> Iterator[str]:
    for row in found.get("profiles", {}).get("rows", []):
        lines = [
            f"**Where the time goes: {row['profile']}** ([flame graph]({_address(KEPT / row['file'])}))",
            "",
            "| function | within it | in its own lines |",
            "|---|---:|---:|",
        ]
        lines += [f"| `{one['function']}` | {one['total']:.0f} % | {one['own']:.0f} % |" for one in row["top"]]
        yield "\n".join(lines)


def _address(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _label(document: Mapping[str, Any], name: str) -> str:
    return str(document.get("contenders", {}).get(name, {}).get("label", name))
