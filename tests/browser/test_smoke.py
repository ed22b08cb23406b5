"""What a person does first, in a real browser against a real server: sign in, publish, predict, find the record.

`SCREENSHOTS=folder` keeps the pictures.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests import cast
from tests.running import Server, prepared_server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Publishing starts a process that imports scikit-learn; on two busy cores that takes a while.
PUBLISHED_MS = 60_000
RECORDED_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prepared_server(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module", params=["light", "dark"])
def signed_in(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[BrowserContext]:
    """A browser in which the demo administrator is signed in."""
    context = browser.new_context(
        viewport={"width": 1360, "height": 900}, color_scheme=request.param, base_url=server.url
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    _sign_in(page, server)
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(signed_in: BrowserContext, server: Server) -> Iterator[Page]:
    """A page that fails the test on a script's error, a failed request or a file from elsewhere."""
    page = signed_in.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: faults.append(asked.url) if _is_foreign(asked.url, server) else None)
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page
    page.close()
    assert faults == []


def _is_foreign(url: str, server: Server) -> bool:
    return not url.startswith((server.url, "data:", "blob:", "about:"))


def _sign_in(page: Page, server: Server) -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", server.credentials["admin"]["user"])
    page.fill("input[name=password]", server.credentials["admin"]["password"])
    page.click("button[type=submit]")
    expect(page.get_by_text("Recent versions")).to_be_visible()


def _shoot(page: Page, pictures: Path, name: str) -> None:
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    page.wait_for_load_state("networkidle")
    page.screenshot(path=pictures / f"{name}-{scheme}.png", full_page=name in ("home", "version", "tried"))


def test_a_person_publishes_predicts_and_finds_the_record(
    page: Page, server: Server, pictures: Path, tmp_path: Path
) -> None:
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    page.goto("/admin/")
    _shoot(page, pictures, "overview")
    _publish(page, pictures, tmp_path, name=f"adder-{scheme}")
    identifier = _predict(page, pictures)
    _find_record(page, pictures, identifier)


def _publish(page: Page, pictures: Path, folder: Path, *, name: str) -> None:
    """Upload the adder and wait on its page until it is ready."""
    artefact = folder / "adder.onnx"
    artefact.write_bytes(cast.adder().model)
    page.get_by_role("link", name="Publish a version").click()
    page.fill("input[name=name]", name)
    page.set_input_files("input[name=file]", artefact)
    page.fill("input[name=alias]", "champion")
    page.fill("textarea[name=why]", "the first one")
    _shoot(page, pictures, "publish")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#status")).to_have_text("ready", timeout=PUBLISHED_MS)
    expect(page.get_by_role("link", name="Try it")).to_be_visible()
    _shoot(page, pictures, "version")


def _predict(page: Page, pictures: Path) -> str:
    """Ask it for 20 + 22 and read the answer and its id."""
    page.get_by_role("link", name="Try it").click()
    fields = page.locator(".sb-fields input[type=text]")
    fields.nth(0).fill("20")
    fields.nth(1).fill("22")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("42")
    _shoot(page, pictures, "tried")
    return page.locator("#prediction-id").inner_text()


def _find_record(page: Page, pictures: Path, identifier: str) -> None:
    """Its record is in the list within seconds, and has a page."""
    page.get_by_role("link", name="Find its record").click()
    end = time.monotonic() + RECORDED_S
    while not page.get_by_role("link", name=identifier).count() and time.monotonic() < end:
        page.wait_for_timeout(250)
        page.reload()
    page.get_by_role("link", name=identifier).click()
    expect(page.locator("#content")).to_contain_text("succeeded")
    _shoot(page, pictures, "record")


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
def test_every_page_opens_and_fits_its_window(page: Page, pictures: Path, name: str) -> None:
    answer = page.goto(PAGES[name])
    assert answer is not None
    assert answer.status == 200
    _shoot(page, pictures, name)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1


def test_the_lines_on_the_landing_page_are_the_servers_own(page: Page, server: Server) -> None:
    page.goto("/")
    assert re.search(re.escape(server.url) + r"/v2/models/iris/infer", page.content())
