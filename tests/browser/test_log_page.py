"""The log page in a browser: from a failed prediction's line to its record and back, light and dark."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shoot, scheme
from tests.running import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
FLOWER = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
STORED_S = 10.0


def test_a_person_goes_from_a_line_to_the_record_and_back(page: Page, shoot: Shoot, server: Server) -> None:
    marker = f"shown-{scheme(page)}"
    body = json.dumps({"inputs": [{**FLOWER, "shape": [1, 3], "data": [1.0, 2.0, 3.0]}]}).encode()
    headers = {"Authorization": f"Bearer {server.key}", "X-Request-ID": marker}
    assert server.request("POST", "/v2/models/iris/infer", body, headers)[0] == 400
    server.post("/v1/predictions", {"model": "iris", "input": {"instances": [[5.1, 3.5, 1.4, 0.2]]}}, Prefer="wait")
    page.goto("/admin/logs/")
    page.get_by_label("Words in message or error").fill("prediction iris failed")
    page.get_by_label("Of the last").select_option("1h")
    lines = page.locator(".sb-log-line", has_text="invalid_input").filter(has_text=marker)
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**q=prediction**")
    end = time.monotonic() + STORED_S
    while not lines.count() and time.monotonic() < end:
        page.reload()
    lines.first.locator("time").click()
    expect(lines.first).to_contain_text(marker)
    shoot("log-line")
    lines.first.get_by_role("link", name="record").click()
    expect(page.locator("#content")).to_contain_text("invalid_input")
    page.get_by_role("link", name="What was logged about it").click()
    expect(page.locator(".sb-log-line")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(".sb-log-line").first).to_be_visible()
    shoot("log")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1


def test_a_search_that_finds_nothing_says_so(page: Page, shoot: Shoot) -> None:
    page.goto("/admin/logs/?q=nothinglikethis")
    expect(page.locator(".sb-log")).to_contain_text("No line matches")
    page.goto("/admin/logs/?level=error&period=7d")
    shoot("log-errors")
