"""What the documents say is what the code does: settings, make targets."""

from __future__ import annotations

import re
import subprocess

from serving_site import env
from tests import settings_table
from tests.running import ROOT


def test_readme_lists_every_setting_and_no_other() -> None:
    assert settings_table.written(settings_table.README.read_text()) == settings_table.render(), "run `make docs`"


def test_every_setting_is_read_from_a_variable_of_its_own_name() -> None:
    for name, variable in env.VARIABLES.items():
        assert hasattr(env, name)
        assert variable.meaning.endswith("."), name


def test_a_new_setting_changes_the_table() -> None:
    before = settings_table.render()
    env.VARIABLES["FRESH"] = env.Variable("FRESH", "int", 1, "Something.")
    try:
        assert settings_table.render() != before
    finally:
        del env.VARIABLES["FRESH"]


def test_make_without_a_target_lists_all_of_them() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())  # type: ignore[union-attr]
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {text.split()[1] for text in shown.splitlines() if text.strip()} == targets


def test_readme_names_only_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets
