"""Charts as small SVG files, drawn by hand: bars per server, and flame graphs of a profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

OURS, THEIRS, AIM = "#2563eb", "#94a3b8", "#dc2626"
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'
_WIDTH, _LABEL, _BAR = 860, 250, 20
#: Frames narrower than this share of a profile are left out; deeper ones too.
LEAST_SHARE = 0.006
DEEPEST = 24
#: A chart is a picture in a page, not an archive.
MOST_OCTETS = 200_000


def write(path: Path, drawn: str) -> None:
    """Raises ValueError for a picture that has grown too large to be kept."""
    if len(drawn.encode()) > MOST_OCTETS:
        raise ValueError(f"{path.name} would have {len(drawn.encode())} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(drawn)


def bars(title: str, unit: str, values: Sequence[tuple[str, float, bool]], aim: tuple[str, float] | None = None) -> str:
    """Horizontal bars of (label, value, is it ours), and a line at (what is aimed at, value)."""
    most = max([value for _, value, _ in values] + ([aim[1]] if aim else []) + [1e-9])
    room = _WIDTH - _LABEL - 90
    lines = [f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>']
    for at, (label, value, is_ours) in enumerate(values):
        top = 32 + at * (_BAR + 6)
        width = max(1.0, room * value / most)
        colour = OURS if is_ours else THEIRS
        lines.append(f'<text x="{_LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(label)}</text>')
        lines.append(f'<rect x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
        lines.append(f'<text x="{_LABEL + width + 6:.1f}" y="{top + 14}">{shown(value)} {escape(unit)}</text>')
    bottom = 32 + len(values) * (_BAR + 6)
    if aim:
        x = _LABEL + room * aim[1] / most
        lines.append(f'<path d="M{x:.1f} 28V{bottom}" stroke="{AIM}" stroke-dasharray="4 3"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" fill="{AIM}">{escape(aim[0])}</text>')
        bottom += 18
    return _svg(_WIDTH, bottom + 6, lines)


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def flame(title: str, stacks: Mapping[tuple[str, ...], int]) -> str:
    """An icicle: the outermost function above, width by the share of looks; the name in full as a tooltip."""
    total = sum(stacks.values()) or 1
    lines = [f'<text x="8" y="18" font-weight="bold">{escape(title)}: where the time goes</text>']
    height = _rows(lines, dict(Counter(stacks)), depth=0, left=0.0, total=total)
    return _svg(_WIDTH, 32 + (height + 1) * 17, lines)


def _rows(lines: list[str], stacks: Mapping[tuple[str, ...], int], *, depth: int, left: float, total: int) -> int:
    """Draw the functions at this depth of these stacks and what is below them; return the deepest row."""
    groups: dict[str, dict[tuple[str, ...], int]] = {}
    for stack, seen in stacks.items():
        if len(stack) > depth:
            groups.setdefault(stack[depth], {})[stack] = seen
    deepest = depth
    for frame, inside in sorted(groups.items(), key=lambda item: -sum(item[1].values())):
        share = sum(inside.values()) / total
        if share >= LEAST_SHARE and depth < DEEPEST:
            lines.append(_box(frame, left, depth, share))
            deepest = max(deepest, _rows(lines, inside, depth=depth + 1, left=left, total=total))
        left += share
    return deepest


def _box(frame: str, left: float, depth: int, share: float) -> str:
    x, width, y = 8 + left * (_WIDTH - 16), share * (_WIDTH - 16), 28 + depth * 17
    name = frame.split(" (")[0].rsplit(".", 1)[-1]
    letters = int(width / 6.6)
    text = name if len(name) <= letters else name[: max(0, letters - 1)] + "…" if letters > 3 else ""
    colour = f"hsl({sum(map(ord, frame.rpartition('(')[2][:20])) % 360},55%,78%)"
    size = f'x="{x:.1f}" y="{y}" width="{max(0.5, width - 0.5):.1f}" height="16"'
    return (
        f'<g><title>{escape(frame)}: {share:.1%}</title><rect {size} fill="{colour}"/>'
        f'<text x="{x + 3:.1f}" y="{y + 12}" font-size="11">{escape(text)}</text></g>'
    )


def _svg(width: int, height: float, lines: Sequence[str]) -> str:
    inside = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" {_FONT}>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{inside}\n</svg>\n'
    )
