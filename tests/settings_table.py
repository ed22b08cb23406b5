"""README's settings table, made from `serving_site.env`: `make docs` writes it, a test finds it current."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from serving_site import env

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"


def render() -> str:
    """The table as Markdown, in the order in which the settings are read."""
    rows = ["| Variable | Kind | Default | What it does |", "|---|---|---|---|"]
    rows += [
        f"| `{variable.name}` | {variable.kind} | {shown(variable.name)} | {variable.meaning} |"
        for variable in env.VARIABLES.values()
    ]
    return "\n".join(rows)


def shown(name: str) -> str:
    """A default for people: sizes in MiB and GiB, the data folder relative to the project, nothing as a dash."""
    value: Any = env.VARIABLES[name].default
    if name == "DATA_DIR":
        return "`var/`"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "—"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**20 and value % 2**20 == 0:
        return f"`{value}` ({value // 2**20} MiB)"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "—"


def written(readme: str) -> str | None:
    """The table as it stands between the markers; None when there are none."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?){re.escape(END)}", readme, re.DOTALL)
    return found and found.group(1).rstrip("\n")


def write() -> None:
    readme = README.read_text()
    before = written(readme)
    if before is None:
        sys.exit(f"README.md has no place for the table: {BEGIN} and {END} on lines of their own.")
    start, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    README.write_text(f"{readme[:start]}\n{render()}\n{readme[end:]}")


if __name__ == "__main__":
    write()
