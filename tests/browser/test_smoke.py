"""What a person does first, in a real browser against a real server: sign in, publish, predict, find the record."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import cast
from tests.browser.conftest import Shoot, scheme
from tests.running import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
#: Publishing starts a process that imports scikit-learn; on two busy cores that takes a while.
PUBLISHED_MS = 60_000
RECORDED_S = 10.0


def test_a_person_publishes_predicts_and_finds_the_record(page: Page, shoot: Shoot, tmp_path: Path) -> None:
    page.goto("/admin/")
    shoot("overview")
    _publish(page, shoot, tmp_path, name=f"adder-{scheme(page)}")
    identifier = _predict(page, shoot)
    _find_record(page, shoot, identifier)


def _publish(page: Page, shoot: Shoot, folder: Path, *, name: str) -> None:
    """Upload the adder and wait on its page until it is ready."""
    artefact = folder / "adder.onnx"
    artefact.write_bytes(cast.adder().model)
    page.get_by_role("link", name="Publish a version").click()
    page.fill("input[name=name]", name)
    page.set_input_files("input[name=file]", artefact)
    page.fill("input[name=alias]", "champion")
    page.fill("textarea[name=why]", "the first one")
    shoot("publish")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#status")).to_have_text("ready", timeout=PUBLISHED_MS)
    expect(page.get_by_role("link", name="Try it")).to_be_visible()
    shoot("version", full=True)


def _predict(page: Page, shoot: Shoot) -> str:
    """Ask it for 20 + 22 and read the answer and its id."""
    page.get_by_role("link", name="Try it").click()
    fields = page.locator(".sb-fields input[type=text]")
    fields.nth(0).fill("20")
    fields.nth(1).fill("22")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("42")
    shoot("tried", full=True)
    return page.locator("#prediction-id").inner_text()


def _find_record(page: Page, shoot: Shoot, identifier: str) -> None:
    """Its record is in the list within seconds, and has a page."""
    page.get_by_role("link", name="Find its record").click()
    end = time.monotonic() + RECORDED_S
    while not page.get_by_role("link", name=identifier).count() and time.monotonic() < end:
        page.wait_for_timeout(250)
        page.reload()
    page.get_by_role("link", name=identifier).click()
    expect(page.locator("#content")).to_contain_text("succeeded")
    shoot("record")


PAGES = {
    "home": "/",
    "models": "/admin/models_registry/registeredmodel/",
    "versions": "/admin/models_registry/modelversion/",
    "aliases": "/admin/models_registry/alias/",
    "history": "/admin/models_registry/deploymentevent/",
    "predictions": "/admin/predictions/prediction/",
    "records": "/admin/monitoring/recordrow/",
    "keys": "/admin/models_registry/apikey/",
    "issue-key": "/admin/models_registry/apikey/issue/",
    "docs": "/api/docs",
    "browsable": "/api/models",
    "browsable-versions": "/api/models/iris/versions",
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_and_fits_its_window(page: Page, shoot: Shoot, name: str) -> None:
    answer = page.goto(PAGES[name])
    assert answer is not None
    assert answer.status == 200
    shoot(name, full=name == "home")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1


def test_the_lines_on_the_landing_page_are_the_servers_own(page: Page, server: Server) -> None:
    page.goto("/")
    assert re.search(re.escape(server.url) + r"/v2/models/iris/infer", page.content())
