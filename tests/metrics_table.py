"""README's metrics table, made from `monitoring.declared`: `make docs` writes it, a test finds it current."""

from __future__ import annotations

from pathlib import Path

from monitoring.declared import DECLARED

README = Path(__file__).resolve().parent.parent / "README.md"
HEAD = "| Metric | Kind | Labels | What it says |\n|---|---|---|---|\n"


def lines() -> list[str]:
    """One line of the table for each metric."""
    return [f"| `{item.name}` | {item.kind} | {', '.join(item.labels) or '—'} | {item.help} |" for item in DECLARED]


def write() -> None:
    readme = README.read_text()
    start = readme.index(HEAD) + len(HEAD)
    end = readme.index("\n\n", start)
    README.write_text(readme[:start] + "\n".join(lines()) + readme[end:])


if __name__ == "__main__":
    write()
