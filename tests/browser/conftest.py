"""One server per module of tests, and a browser in which the demo administrator is signed in, light and dark.

`SCREENSHOTS=folder` keeps the pictures. Those of README are made by
`SCREENSHOTS=tests/browser/screenshots pytest tests/browser/test_watching.py -k "every_chart and light"`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.running import Server, prepared_server

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Shoot = Callable[..., None]


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


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module", params=["light", "dark"])
def signed_in(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[BrowserContext]:
    """A browser in which the demo administrator is signed in."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 840}, color_scheme=request.param, base_url=server.url
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


@pytest.fixture
def shoot(page: Page, pictures: Path) -> Shoot:
    """Keep a picture of the page as it is now."""

    def keep(name: str, *, full: bool = False) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=pictures / f"{name}-{scheme(page)}.png", full_page=full)

    return keep


def scheme(page: Page) -> str:
    return "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"


def _is_foreign(url: str, server: Server) -> bool:
    return not url.startswith((server.url, "data:", "blob:", "about:"))


def _sign_in(page: Page, server: Server) -> None:
    page.goto("/admin/")
    page.fill("input[name=username]", server.credentials["admin"]["user"])
    page.fill("input[name=password]", server.credentials["admin"]["password"])
    page.click("button[type=submit]")
    expect(page.get_by_text("Recent versions")).to_be_visible()
