"""The timeline in a real browser: it opens without an error, and clicks, search and keys work."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kvsim.history.formats import jepsen_edn
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import judge
from kvsim.report.timeline.html_page import render_page
from kvsim.report.timeline.model import timeline_data
from kvsim.report.write import write_reports
from tests.report.browser import Page, browser, missing
from tests.report.runs import Writer, failed_run, load
from tests.report.test_history_timeline import STALE
from tests.report.test_history_timeline import data_of as history_data

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing()), reason=missing() or "available"),
]

PRINTED_PAGES_MAX = 6

COLOURS = """
const canvas = document.getElementById("timeline"), colours = new Set();
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
for (let n = 0; n < data.length; n += 4) colours.add(`${data[n]},${data[n + 1]},${data[n + 2]}`);
return colours.size;
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium, tmp_path) -> Iterator[Page]:
    run = failed_run(tmp_path / "run")
    write_reports(run)
    # Of the page before.
    chromium.errors(), chromium.requests()
    chromium.open(run.timeline)
    yield chromium
    assert chromium.errors() == []


def view(page: Page) -> tuple[float, float]:
    return tuple(page.run("const { begin, end } = timeline.state.view; return [begin, end]"))


def test_it_opens_with_its_verdict_and_fetches_nothing(page):
    assert page.text("#verdict").lower() == "fail"
    assert page.run("return timeline.state.data.ops.rows") == 3
    assert page.run(COLOURS) > 12
    assert not [address for address in page.requests() if address.startswith(("http", "ws"))]


def test_a_click_on_an_operation_shows_its_bytes_and_the_logs_of_its_time(page):
    place = page.run(
        """const { state } = timeline;
        const lane = state.layout.lanes.find((lane) => lane.name === "scenario");
        const { begin, end } = state.view, width = state.canvas.clientWidth - 124;
        const x = 124 + (state.shownBegin[1] - begin) / (end - begin) * width;
        return [x + 1, lane.y + lane.height / 2]"""
    )
    page.click_at("#timeline", *place)
    assert "refused: read_only" in page.text("#operation")
    assert "ERR read-only, leader is on port 9001" in page.text("#operation")
    current = page.run(
        "return [...document.querySelectorAll('#logs .log:nth-child(2) .line.current')]"
        ".map((line) => line.innerText)"
    )
    assert "line 0 of n2" in current and "line 399 of n2" not in current


def test_first_error_shows_the_operations_of_the_finding(page):
    page.keys("e")
    begin, end = view(page)
    assert page.run("return timeline.state.selected.row") in (1, 2)
    assert end - begin < page.run("return timeline.state.clock.length") * 0.9
    highlighted = page.run("return [...timeline.state.highlighted]")
    assert highlighted in ([1, 2], [2])
    page.keys("\ue00c")
    assert page.run("return timeline.state.highlighted") is None


def test_search_finds_operations_and_log_lines(page):
    page.type("#search", "apple")
    assert page.text("#hits") == "1 found"
    page.type("#search", "\ue007")
    assert page.run("return timeline.state.selected.row") == 0
    page.type("#search", "\ue00c")  # Escape empties the field
    page.type("#search", "line 399 of n3")
    assert page.text("#hits") == "1 found"
    page.type("#search", "\ue00c")
    page.type("#search", "nowhere to be found")
    assert page.text("#hits") == "nothing"


def test_zoom_pan_and_fit(page):
    whole = view(page)
    page.keys("+")
    nearer = view(page)
    assert nearer[1] - nearer[0] == pytest.approx((whole[1] - whole[0]) / 2)
    page.keys("d")
    assert view(page)[0] > nearer[0]
    page.keys("0")
    assert view(page) == pytest.approx(whole)


def test_idle_time_is_compressed_and_can_be_shown_in_full(page):
    compressed = page.run("return timeline.state.clock.length")
    assert page.run("return timeline.state.clock.gaps.length") >= 1
    page.keys("g")
    assert page.run("return timeline.state.clock.length") == pytest.approx(2.98, abs=0.1)
    assert compressed < 1.5


def test_the_arrow_keys_go_through_the_operations(page):
    page.keys("\ue014\ue014")
    assert page.run("return timeline.state.selected.row") == 1
    page.keys("\ue012")
    assert page.run("return timeline.state.selected.row") == 0


def test_dark_and_light_and_the_list_of_keys(page):
    before = page.run("return getComputedStyle(document.body).backgroundColor")
    page.keys("t")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != before
    page.keys("?")
    assert "next operation" in page.text("#keys")


def test_text_of_a_node_is_never_markup(chromium, tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, "<img src=x onerror='window.hit = 1'>\n")
    made.step(0.1, 0.2, "fail", "<b id=injected>no</b>")
    made.operation(
        0.11, "n1", "put", {"kind": "ok"}, key="</script><script>window.hit = 1</script>"
    )
    run = made.close()
    write_reports(run)
    chromium.open(run.timeline)
    chromium.keys("e")
    assert chromium.run("return window.hit ?? null") is None
    assert chromium.run("return document.getElementById('injected')") is None
    assert "<img src=x" in chromium.text("#logs")
    assert chromium.errors() == []


def test_a_hundred_thousand_operations_open(chromium, tmp_path):
    run = failed_run(tmp_path)
    record = RunRecord.load(run)
    run.timeline.write_text(render_page(timeline_data(run, record, judge(record), load(100_000))))
    chromium.open(run.timeline)
    assert chromium.run("return timeline.state.data.ops.rows") == 100_003
    chromium.keys("+++d")
    chromium.run("timeline.view.selectRow(timeline.state, 50_000, { keepView: false })")
    assert "key-" in chromium.text("#operation")
    assert (
        len(
            chromium.run(
                "return [...document.querySelectorAll('#requests .row')].map((row) => row.title)"
            )
        )
        == 120
    )
    chromium.type("#search", "v99999")
    assert chromium.text("#hits").startswith("1 ")
    assert chromium.errors() == []


def test_it_prints_in_light_colours_with_every_section(page):
    page.keys("t")
    import base64

    pdf = base64.b64decode(page.driver.print_page())
    assert pdf.startswith(b"%PDF") and len(pdf) > 30_000
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= PRINTED_PAGES_MAX


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1320, 390])
def test_it_is_accessible(page, scheme, width):
    """Contrast, names of controls, what the keyboard reaches: WCAG 2.1 A and AA, by axe-core."""
    with page.shown_as(scheme, width):
        assert page.violations() == []
        # Nothing is wider than the screen of a phone.
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_history_of_another_tool_shows_its_violation(chromium, tmp_path):
    history = jepsen_edn.read(STALE.splitlines(keepends=True))
    file = tmp_path / "page.html"
    file.write_text(render_page(history_data(history)))
    chromium.errors()
    chromium.open(file)
    chromium.keys("e")
    assert "cannot be placed" in chromium.text("#operation")
    assert "4 events, took 1 event" in chromium.text("#operation")
    assert chromium.run("return document.getElementById('logs-box').hidden")
    assert chromium.run(COLOURS) > 8 and chromium.errors() == []
