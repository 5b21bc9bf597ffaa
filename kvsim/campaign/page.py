"""A campaign's summary as one HTML page that stands alone. Reads a Summary; writes text; fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from kvsim.campaign.summary import Row, Summary
from kvsim.trials.groups import Group
from kvsim.trials.trial import Ending

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>kvsim campaign</title>
<style>
:root { color-scheme: light dark; --ink: #1c2024; --dim: #667; --line: #d8dce2; --paper: #fff;
  --good: #1a7f37; --bad: #c62828; --other: #b26a00 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --dim: #9aa3ad; --line: #343a42; --paper: #15181c;
  --good: #4ac26b; --bad: #ff7b72; --other: #e3b341 } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
.dim { color: var(--dim) } .pass { color: var(--good) } .fail, .error { color: var(--bad) }
.unknown, .invalid, .overtime { color: var(--other) }
.bar { width: 12rem; height: .7rem; background: var(--line); position: relative }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--good) }
.bar b { position: absolute; top: 0; bottom: 0; background: var(--bad) }
.bar u { position: absolute; top: -2px; bottom: -2px; border: 1px solid var(--ink); border-width: 0 1px }
</style></head><body>
"""


def page_of(summary: Summary, title: str) -> str:
    """The whole page."""
    return HEAD + "\n".join(_body(summary, title)) + "\n</body></html>\n"


def _body(summary: Summary, title: str) -> Iterator[str]:
    missing = "" if summary.complete else f" of {summary.wanted} &mdash; <b class=unknown>not complete</b>"
    yield f"<h1>{escape(title)}</h1>"
    yield f"<p>{summary.whole.made} runs{missing}; median {summary.median_s:.1f} s, slowest {summary.slowest_s:.1f} s; "
    yield f"{len(summary.workers)} workers.</p><p>"
    yield " &middot; ".join(
        f'<b class="{ending}">{ending}</b> {count}' for ending, count in summary.whole.counts.items()
    )
    yield "</p>"
    for heading, rows in summary.tables.items():
        yield from _table(heading, rows)
    if summary.groups:
        yield "<h2>Where runs first went wrong</h2>"
        yield "<table><tr><th class=n>runs<th>ending<th>scenario<th>where<th>what<th>see it"
        for group, number in zip(summary.groups, summary.numbers, strict=True):
            yield _group(group, number)
        yield "</table>"
    yield '<p class="dim">Bars: passed in green, failed in red; the bracket is the 95 % confidence interval (Wilson) of the pass rate. '
    yield "Skipped runs are left out of rates.</p>"


def _table(heading: str, rows: tuple[Row, ...]) -> Iterator[str]:
    yield f"<h2>By {heading}</h2><table><tr><th>{heading}<th class=n>runs<th class=n>passed<th class=n>rate<th><th class=n>skipped"
    yield from map(_row, rows)
    yield "</table>"


def _row(row: Row) -> str:
    passed, (low, high) = row.passed, row.passed.bounds
    rest = 100 * (1 - passed.value) if passed.total else 0
    bar = (
        f'<div class=bar><i style="width:{100 * passed.value:.2f}%"></i><b style="right:0;width:{rest:.2f}%"></b>'
        f'<u style="left:{100 * low:.2f}%;right:{100 - 100 * high:.2f}%"></u></div>'
    )
    return (
        f"<tr><td>{escape(row.label)}<td class=n>{row.made}<td class=n>{passed.count}<td class=n>{100 * passed.value:.1f} %"
        f"<td>{bar}<span class=dim>{100 * low:.1f} to {100 * high:.1f} %</span><td class=n>{row.counts.get(Ending.SKIPPED, 0)}"
    )


def _group(group: Group, number: int) -> str:
    see = f"<code>{escape(group.first.again)}</code><br><span class=dim>run {number}: <code>--unpack {number}</code></span>"
    return (
        f'<tr><td class=n>{group.count}<td class="{group.ending}">{group.ending}<td>{escape(group.scenario)}'
        f"<td>{escape(group.place)}<td>{escape(group.what)}<td>{see}"
    )
