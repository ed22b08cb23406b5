"""Leave out of an environment what serving never opens: the packages' own tests, headers and sources.

    trim.py /opt/venv

Prints what was removed by package, in MB.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

#: Below site-packages. Only what a package never imports by itself.
UNUSED = (
    "*/tests",
    "*/*/tests",
    "*/*/*/tests",
    "onnx/backend/test",
    "pyarrow/include",
    "pyarrow/src",
    "numpy/_core/include",
    "numpy/_core/lib",
)
UNUSED_FILES = ("**/*.a", "**/*.pyx", "**/*.pxd", "**/*.h", "**/*.hpp")


def main(environment: Path) -> None:
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    removed: dict[str, int] = {}
    folders = {path for pattern in UNUSED for path in packages.glob(pattern) if path.is_dir()}
    for path in sorted(folders):
        if path.exists():
            _count(removed, packages, path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
            shutil.rmtree(path)
    for path in {path for pattern in UNUSED_FILES for path in packages.glob(pattern)}:
        _count(removed, packages, path, path.stat().st_size)
        path.unlink()
    for name, size in sorted(removed.items(), key=lambda item: -item[1]):
        if size > 10**6:
            print(f"left out of {name}: {size / 1e6:.0f} MB")


def _count(removed: dict[str, int], packages: Path, path: Path, size: int) -> None:
    name = path.relative_to(packages).parts[0]
    removed[name] = removed.get(name, 0) + size


if __name__ == "__main__":
    main(Path(sys.argv[1]))
