"""The part of README that tells what was proved: the kept reports, written there by the runs that make them."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parent.parent.parent / "README.md"
BEGIN, END = "<!-- reports:begin -->", "<!-- reports:end -->"
#: In the order in which they are shown; those not made yet are left out.
NAMES = ("kills", "soak", "services", "defects-services", "aliases-services", "soak-services")


def render(folder: Path) -> str:
    """The reports one after the other, their headings two levels down."""
    found = [folder / f"{name}.md" for name in NAMES]
    return "\n\n".join(f"##{path.read_text().strip()}" for path in found if path.exists())


def written(readme: str) -> str:
    """What stands between the marks now."""
    return readme[readme.index(BEGIN) + len(BEGIN) : readme.index(END)].strip()


def write(folder: Path) -> None:
    readme = README.read_text()
    start, end = readme.index(BEGIN) + len(BEGIN), readme.index(END)
    README.write_text(f"{readme[:start]}\n{render(folder)}\n{readme[end:]}")
