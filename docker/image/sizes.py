"""What takes the space of an environment: its installed packages by size, largest first.

sizes.py /opt/venv
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

MB = 1e6


def main(environment: Path) -> None:
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    sizes = sorted(((size_of(found), found.name) for found in distributions(path=[str(packages)])), reverse=True)
    everything = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"{everything / MB:8.1f} MB in all")
    for size, name in sizes:
        print(f"{size / MB:8.1f} MB {name}")


def size_of(distribution: Distribution) -> int:
    """Octets of a distribution's files as they are now, with what was compiled beside them."""
    folders = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    return sum(path.stat().st_size for path in folders if path.is_file())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
