"""The film in a real browser: it opens without a complaint, and what one clicks, types and presses does what the page says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvsim.evidence.proof import judge
from kvsim.history.record import Record
from kvsim.report.film.data import film_data
from kvsim.report.film.page import page as film_page
from kvsim.report.write import write_reports
from tests.report.browser import Page, browser, missing
from tests.report.runs import Writer, load, story

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(missing()), reason=missing() or "there")]

COLOURS = """
const canvas = document.getElementById("film"), seen = new Set();
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
for (let n = 0; n < data.length; n += 4) seen.add(`${data[n]},${data[n + 1]},${data[n + 2]}`);
return seen.size;
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def film(chromium, tmp_path) -> Iterator[Page]:
    run = story(tmp_path / "run")
    write_reports(run)
    chromium.complaints(), chromium.requests()  # of the page before
    chromium.open(run.film)
    yield chromium
    assert chromium.complaints() == []


def view(page: Page) -> tuple[float, float]:
    return tuple(page.run("const { begin, end } = film.state.view; return [begin, end]"))


def test_it_opens_with_its_verdict_its_lanes_and_nothing_fetched(film):
    assert film.text("#verdict").lower() == "fail"
    assert film.run("return film.rows") == 3
    assert film.run(COLOURS) > 12
    assert not [address for address in film.requests() if address.startswith(("http", "ws"))]


def test_a_click_on_an_operation_shows_the_wire_and_the_logs_of_that_moment(film):
    place = film.run(
        """const { state } = film, lane = state.layout.lanes.find((one) => one.name === "scenario");
        const x = 124 + (state.begin_f[1] - state.view.begin) / (state.view.end - state.view.begin) * (state.canvas.clientWidth - 124);
        return [x + 1, lane.y + lane.height / 2]"""
    )
    film.click_at("#film", *place)
    assert "refused: read_only" in film.text("#operation")
    assert "ERR read-only, leader is on port 9001" in film.text("#operation")
    now = film.run(
        "return [...document.querySelectorAll('#logs .log:nth-child(2) .line.now')].map((one) => one.innerText)"
    )
    assert "line 0 of n2" in now and "line 399 of n2" not in now


def test_first_error_goes_to_the_operations_that_show_it(film):
    film.keys("e")
    begin, end = view(film)
    assert film.run("return film.state.selected.row") in (1, 2)
    assert end - begin < film.run("return film.state.clock.length") * 0.9
    proving = film.run("return [...film.state.proving]")
    assert proving in ([1, 2], [2])
    film.keys("\ue00c")
    assert film.run("return film.state.proving") is None


def test_search_finds_operations_and_log_lines_and_goes_from_one_to_the_next(film):
    film.type("#search", "apple")
    assert film.text("#hits") == "1 found"
    film.type("#search", "\ue007")
    assert film.run("return film.state.selected.row") == 0
    film.type("#search", "\ue00c")  # Escape empties the field
    film.type("#search", "line 399 of n3")
    assert film.text("#hits") == "1 found"
    film.type("#search", "\ue00c")
    film.type("#search", "nowhere to be found")
    assert film.text("#hits") == "nothing"


def test_zoom_pan_and_fit(film):
    whole = view(film)
    film.keys("+")
    nearer = view(film)
    assert nearer[1] - nearer[0] == pytest.approx((whole[1] - whole[0]) / 2)
    film.keys("d")
    assert view(film)[0] > nearer[0]
    film.keys("0")
    assert view(film) == pytest.approx(whole)


def test_idle_time_is_compressed_and_can_be_shown_in_full(film):
    compressed = film.run("return film.state.clock.length")
    assert film.run("return film.state.clock.gaps.length") >= 1
    film.keys("g")
    assert film.run("return film.state.clock.length") == pytest.approx(2.98, abs=0.1)
    assert compressed < 1.5


def test_the_arrow_keys_go_through_the_operations(film):
    film.keys("\ue014\ue014")
    assert film.run("return film.state.selected.row") == 1
    film.keys("\ue012")
    assert film.run("return film.state.selected.row") == 0


def test_dark_and_light_and_the_keys_page(film):
    before = film.run("return getComputedStyle(document.body).backgroundColor")
    film.keys("t")
    assert film.run("return getComputedStyle(document.body).backgroundColor") != before
    film.keys("?")
    assert "next operation" in film.text("#keys")


def test_what_a_node_says_is_text_and_never_markup(chromium, tmp_path):
    made = Writer(tmp_path)
    made.node("n1", 0.0, "<img src=x onerror='window.hit = 1'>\n")
    made.step(0.1, 0.2, "fail", "<b id=injected>no</b>")
    made.operation(0.11, "n1", "put", {"kind": "ok"}, key="</script><script>window.hit = 1</script>")
    run = made.close()
    write_reports(run)
    chromium.open(run.film)
    chromium.keys("e")
    assert chromium.run("return window.hit ?? null") is None
    assert chromium.run("return document.getElementById('injected')") is None
    assert "<img src=x" in chromium.text("#logs")
    assert chromium.complaints() == []


def test_a_hundred_thousand_operations_open_and_can_be_walked_through(chromium, tmp_path):
    run = story(tmp_path)
    record = Record.load(run)
    run.film.write_text(film_page(film_data(run, record, judge(record), load(100_000))))
    chromium.open(run.film)
    assert chromium.run("return film.rows") == 100_003
    chromium.keys("+++d")
    chromium.run("film.choose(50_000)")
    assert "key-" in chromium.text("#operation")
    assert (
        len(chromium.run("return [...document.querySelectorAll('#wire .row')].map((row) => row.title)"))
        == 120
    )
    chromium.type("#search", "v99999")
    assert chromium.text("#hits").startswith("1 ")
    assert chromium.complaints() == []


def test_it_prints_in_light_colours_with_every_section(film):
    film.keys("t")
    import base64

    pdf = base64.b64decode(film.driver.print_page())
    assert pdf.startswith(b"%PDF") and len(pdf) > 30_000
