"""The page of records in a browser: search, a saved search, an export, one record; light and dark."""

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
RECORDED_S = 15.0


def test_a_person_searches_saves_the_search_exports_and_opens_a_record(
    page: Page, shoot: Shoot, server: Server
) -> None:
    wrong = json.dumps({"inputs": [{**FLOWER, "shape": [1, 3], "data": [1.0, 2.0, 3.0]}]}).encode()
    right = json.dumps({"inputs": [FLOWER]}).encode()
    headers = {"Authorization": f"Bearer {server.key}"}
    statuses = [server.request("POST", "/v2/models/iris/infer", body, headers)[0] for body in (right, right, wrong)]
    assert statuses == [200, 200, 400]
    page.goto("/admin/records/")
    page.get_by_label("Status").select_option("failed")
    page.get_by_label("Model").fill("iris")
    page.get_by_role("button", name="Search").click()
    rows = page.locator(".sb-records tbody tr", has_text="failed")
    end = time.monotonic() + RECORDED_S
    while not rows.count() and time.monotonic() < end:
        page.reload()
    expect(page.locator(".sb-records")).not_to_contain_text("succeeded")
    name = f"failures {scheme(page)}"
    page.get_by_label("Name of this search").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(".sb-records")).to_contain_text("succeeded")
    shoot("records-all")
    page.get_by_role("link", name=name).click()
    expect(page.locator(".sb-records")).not_to_contain_text("succeeded")
    _export(page)
    shoot("records-searched")
    rows.first.get_by_role("link").click()
    expect(page.locator("#content")).to_contain_text("invalid_input")
    shoot("record-whole", full=True)
    page.get_by_role("link", name="Records", exact=True).last.click()
    page.get_by_role("button", name=f"Remove {name}").click()
    expect(page.get_by_role("link", name=name)).to_have_count(0)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1


def _export(page: Page) -> None:
    """Written by the worker; the page shows its link by itself."""
    page.get_by_label("Format").select_option("csv")
    page.get_by_role("button", name="Export in the background").click()
    link = page.locator("#exports").get_by_role("link", name="Download").first
    expect(link).to_be_visible(timeout=30_000)
    with page.expect_download() as started:
        link.click()
    lines = started.value.path().read_text().splitlines()
    assert lines[0].startswith("id,project,model")
    assert all(",failed," in line for line in lines[1:])
    assert len(lines) > 1


def test_what_is_found_by_nothing_or_asked_wrongly_is_said(page: Page) -> None:
    page.goto("/admin/records/?model=nothinglikethis")
    expect(page.locator(".sb-records")).to_contain_text("No record matches")
    page.goto("/admin/records/?version=first")
    expect(page.get_by_role("alert")).to_contain_text("version: a whole number")
