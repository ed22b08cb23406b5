"""The monitoring pages in a real browser: drawn from a week of seeded records, followed to the records behind."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import seeding
from tests.browser.conftest import Shoot
from tests.running import ROOT, Server, clean_environment, prepared_folder

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
#: Page → charts that must have something to show.
CHARTS = {
    "overview": ["throughput", "latency", "depth", "age", "spool", "models", "memory", "cpu"],
    "predictions": ["models", "classes-iris-label", "numbers-iris-confidence", "numbers-diabetes-value"],
    "performance": ["latency", "p95", "rate", "doors", "waiting", "inference", "rows", "cpu"],
    "errors": ["codes", "share", "by-version", "refusals"],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a week of records."""
    folder: Path = tmp_path_factory.mktemp("watched")
    shutil.copytree(prepared_folder(), folder, dirs_exist_ok=True)
    command = [sys.executable, "-m", "tests.browser.seeding"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(folder), check=True, timeout=120)
    server = Server(folder)
    server.start()
    yield server
    server.stop()


#: What does not depend on colours is tried in one scheme.
in_one_scheme = pytest.mark.parametrize("signed_in", ["light"], indirect=True, scope="module")


def drawn(page: Page, key: str) -> Locator:
    """The canvas of a chart, which must hold a picture of its numbers."""
    canvas = page.locator(f"canvas[data-chart='{key}']")
    expect(canvas).to_be_visible()
    assert int(canvas.get_attribute("data-points") or 0) > 0
    painted = canvas.evaluate(
        "canvas => { const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        " let found = 0; for (let at = 3; at < pixels.length; at += 4) found += pixels[at] > 0; return found; }"
    )
    assert painted > 500
    return canvas


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_of_a_page_is_drawn(page: Page, shoot: Shoot, name: str) -> None:
    page.goto(f"/admin/watch/{name}/")
    for key in CHARTS[name]:
        drawn(page, key)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 1
    shoot(f"watch-{name}")


@in_one_scheme
@pytest.mark.parametrize("period", ["day", "week"])
def test_a_longer_period_is_drawn_too(page: Page, shoot: Shoot, period: str) -> None:
    page.goto("/admin/watch/overview/")
    page.get_by_text(f"Last {period}").click()
    expect(page).to_have_url(re.compile(f"period={period}"))
    for key in ("throughput", "latency", "memory"):
        drawn(page, key)


@in_one_scheme
def test_a_click_on_a_spike_leads_to_its_records(page: Page) -> None:
    page.goto("/admin/watch/errors/")
    canvas = drawn(page, "codes")
    canvas.scroll_into_view_if_needed()
    place = canvas.evaluate(
        "canvas => { const chart = Chart.getChart(canvas);"
        " const set = chart.data.datasets.findIndex((one) => one.label === 'model_error');"
        " const values = chart.data.datasets[set].data; const at = values.indexOf(Math.max(...values));"
        " const bar = chart.getDatasetMeta(set).data[at].getCenterPoint(); return [bar.x, bar.y, values[at]]; }"
    )
    canvas.click(position={"x": place[0], "y": place[1]})
    page.wait_for_url("**/admin/records/**")
    asked = parse_qs(urlsplit(page.url).query)
    assert asked["error_code"] == ["model_error"]
    assert {"project", "since", "until"} < set(asked)
    rows = page.get_by_role("row").filter(has_text="the model failed")
    expect(rows).to_have_count(place[2])


@in_one_scheme
def test_the_numbers_stand_in_a_table_too_and_lead_to_the_same_records(page: Page) -> None:
    page.goto("/admin/watch/errors/")
    chart = page.locator("#chart-codes")
    chart.get_by_text("Numbers as a table").click()
    expect(chart.get_by_role("row")).to_have_count(61)
    link = chart.locator("td a").first
    number = int(link.inner_text())
    link.click()
    expect(page.get_by_role("row").filter(has_text="failed")).to_have_count(number)


@in_one_scheme
def test_a_filter_narrows_the_page(page: Page) -> None:
    page.goto("/admin/watch/predictions/")
    expect(page.locator("#table-versions tbody tr")).to_have_count(5)
    page.select_option("select[name=model]", "iris")
    expect(page.locator("#table-versions tbody tr")).to_have_count(2)
    page.select_option("select[name=version]", "1")
    expect(page.locator("#table-versions tbody tr")).to_have_count(1)
    expect(page.locator("canvas[data-chart='classes-penguins-label']")).to_have_count(0)


def test_a_project_without_predictions_says_so(page: Page, shoot: Shoot) -> None:
    page.goto(f"/admin/watch/overview/?project={seeding.EMPTY}")
    expect(page.locator("#chart-throughput")).to_contain_text("No predictions in this time")
    expect(page.locator("#chart-throughput canvas")).to_be_hidden()
    page.goto(f"/admin/watch/errors/?project={seeding.EMPTY}")
    expect(page.locator("#chart-codes")).to_contain_text("No errors in this time")
    shoot("watch-empty")


@in_one_scheme
def test_the_page_asks_again_and_can_be_paused(page: Page) -> None:
    page.goto("/admin/watch/overview/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#freshness")).to_have_text("Paused")
    with page.expect_response("**/figures?**") as asked:
        page.get_by_role("button", name="Go on").click()
    assert asked.value.ok
    expect(page.locator("#watching")).to_have_attribute("data-drawn", "1")


def test_the_status_page_tells_of_every_part_and_process(page: Page, shoot: Shoot) -> None:
    page.goto("/admin/watch/status/")
    for part in ("database", "record store", "spool", "queue"):
        row = page.locator("#table-parts").get_by_role("row").filter(has_text=part).first
        expect(row).to_contain_text("ok")
    expect(page.locator("#table-processes")).to_contain_text("server")
    expect(page.locator("#table-software")).to_contain_text("SQLite")
    shoot("watch-status")


@in_one_scheme
def test_the_sidebar_leads_to_the_pages(page: Page) -> None:
    page.goto("/admin/")
    for name in ("System", "Prediction analysis", "Performance", "Errors", "Status"):
        page.locator("#nav-sidebar, aside, nav").get_by_role("link", name=name, exact=False).first.click()
        expect(page.locator(".sb-tabs a[aria-current]")).to_contain_text(name)
