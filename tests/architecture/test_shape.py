"""The shape of the code: sizes, imports, no mocks of our own, no paths of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving_site import env
from tests.running import ROOT

ROOMS = ("serving_site", "predictions", "models_registry", "monitoring")
MODULE_LIMIT, FUNCTION_LIMIT = 300, 50
#: Written on the line of the definition (or the module's first line) with the reason after it.
REASON = re.compile(r"#\s*long:\s*\S+")
#: Markers of a path that exists on one machine only.
HOME = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w+")


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (file for file in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in file.parts)


def size(lines: list[str]) -> int:
    return sum(1 for text in lines if text.strip())


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def too_long(source: str, name: str) -> list[str]:
    """Modules and functions beyond the limits that give no reason beside them."""
    lines = source.splitlines()
    found = []
    if size(lines) > MODULE_LIMIT and not REASON.search("\n".join(lines[:5])):
        found.append(f"{name}: {size(lines)} lines")
    for function in functions(ast.parse(source)):
        length = size(lines[function.lineno - 1 : function.end_lineno])
        if length > FUNCTION_LIMIT and not REASON.search(lines[function.lineno - 1]):
            found.append(f"{name}:{function.lineno} {function.name}: {length} lines")
    return found


def mocked(source: str) -> list[int]:
    """Lines that import mock or set attributes of our own modules from outside."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            if any(name in {"mock", "unittest.mock", "pytest_mock"} for name in names):
                found.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            owner = node.func.value
            ours = node.args and (
                isinstance(node.args[0], ast.Constant) and str(node.args[0].value).split(".")[0] in ROOMS
            )
            if isinstance(owner, ast.Name) and owner.id in {"monkeypatch", "patch"} and ours:
                found.append(node.lineno)
    return found


def test_modules_and_functions_are_short_or_say_why_not() -> None:
    assert [
        fault for file in sources(*ROOMS, "tests") for fault in too_long(file.read_text(), str(file.relative_to(ROOT)))
    ] == []


def test_a_long_function_without_a_reason_is_found() -> None:
    body = "\n".join(f"    x = {number}" for number in range(FUNCTION_LIMIT + 1))
    assert too_long(f"def long():\n{body}\n", "sample") == [f"sample:1 long: {FUNCTION_LIMIT + 2} lines"]
    assert too_long(f"def long():  # long: a table\n{body}\n", "sample") == []


def test_a_long_module_without_a_reason_is_found() -> None:
    source = "x = 1\n" * (MODULE_LIMIT + 1)
    assert too_long(source, "sample") == [f"sample: {MODULE_LIMIT + 1} lines"]
    assert too_long("# long: generated\n" + source, "sample") == []


def test_no_test_mocks_our_own_modules() -> None:
    assert [f"{file.relative_to(ROOT)}:{row}" for file in sources("tests") for row in mocked(file.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "from unittest import mock",
        "import unittest.mock",
        "def test(monkeypatch):\n    monkeypatch.setattr('predictions.queued.ledger.claim', None)",
    ],
)
def test_a_mock_is_found(source: str) -> None:
    if source == "from unittest import mock":
        assert mocked(source) == [1]
    else:
        assert mocked(source)


def test_rooms_import_only_rightwards_and_the_core_knows_no_framework() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_our_variables_are_read_in_one_place() -> None:
    """The supervisor alone asks for its own mark before that place can be imported."""
    reading = re.compile(rf"(?:environ(?:\.get|\.pop)?|getenv)[\[(]\s*[\"'](?:{'|'.join(env.VARIABLES)})[\"']")
    found = [
        str(file.relative_to(ROOT))
        for file in sources(*ROOMS)
        if file.name not in {"env.py", "supervisor.py"} and reading.search(file.read_text())
    ]
    assert found == []
    assert reading.search('os.environ.get("PORT")')


def test_nothing_names_a_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = [ROOT / name for name in listed.splitlines() if not name.endswith((".png", ".csv", ".onnx", ".skops"))]
    found = [
        f"{file.relative_to(ROOT)}: {match.group(0)}"
        for file in texts
        if file.is_file() and file != Path(__file__).resolve()
        for match in [HOME.search(file.read_text(errors="replace"))]
        if match
    ]
    assert found == []
