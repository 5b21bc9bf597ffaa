"""A campaign's summary as one self-contained HTML page, which fetches nothing: dates, kinds
of failures with filters, pass rates.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from kvsim.campaign.summary import CampaignSummary, SummaryRow
from kvsim.report import html_list
from kvsim.report.html_list import verdict
from kvsim.trials.failure_groups import FailureGroup
from kvsim.trials.trial import Ending


def page_of(summary: CampaignSummary, title: str) -> str:
    """The whole page."""
    return html_list.page(title, "\n".join(_body(summary, title)))


def _body(summary: CampaignSummary, title: str) -> Iterator[str]:
    missing = (
        ""
        if summary.complete
        else f" of {summary.planned} &mdash; <b class=unknown>not complete</b>"
    )
    begun, ended = summary.period
    yield f"<h1>{escape(title)}</h1>"
    yield (
        f'<p class="soft"><time>{escape(begun)}</time> to <time>{escape(ended)}</time>; '
        f"{summary.whole.made} runs{missing}; median {summary.median_s:.1f} s, "
        f"slowest {summary.slowest_s:.1f} s; {len(summary.workers)} workers</p>"
    )
    counts = (f"{verdict(ending)} {count}" for ending, count in summary.whole.counts.items())
    yield f"<p>{' &middot; '.join(counts)}</p>"
    if summary.groups:
        yield from _groups(summary)
    for heading, rows in summary.tables.items():
        yield f"<h2>By {heading}</h2>"
        columns = {heading: "", **HEADINGS}
        yield html_list.table(f"by {heading}", columns, map(_row, rows), filtered=False)
    yield (
        '<p class="soft">Bars: passed in green, failed in red; the bracket is the 95 % '
        "confidence interval (Wilson) of the pass rate. Skipped runs are left out of rates.</p>"
    )


HEADINGS = {"runs": "n", "passed": "n", "rate": "n", "confidence": "", "skipped": "n"}


def _row(row: SummaryRow) -> str:
    passed, (low, high) = row.passed, row.passed.bounds
    rest = 100 * (1 - passed.value) if passed.total else 0
    bar = (
        f'<div class=bar><i style="width:{100 * passed.value:.2f}%"></i>'
        f'<b style="width:{rest:.2f}%"></b>'
        f'<u style="left:{100 * low:.2f}%;right:{100 - 100 * high:.2f}%"></u></div>'
    )
    cells = [
        ("", "wide", f"<b>{escape(row.label)}</b>"),
        ("runs", "n", str(row.made)),
        ("passed", "n", str(passed.count)),
        ("rate", "n", f"{100 * passed.value:.1f} %"),
        ("", "wide", f"{bar}<span class=soft>{100 * low:.1f} to {100 * high:.1f} %</span>"),
        ("skipped", "n", str(row.counts.get(Ending.SKIPPED, 0))),
    ]
    return html_list.row(cells)


GROUP_HEADINGS = {
    "verdict": "",
    "runs": "n",
    "scenario": "",
    "program": "",
    "cause": "",
    "again": "",
}


def _groups(summary: CampaignSummary) -> Iterator[str]:
    """Each kind of failure, with filters."""
    groups = summary.groups
    yield "<h2>Where runs first went wrong</h2>"
    yield html_list.filters(
        {
            "verdict": (str(group.ending) for group in groups),
            "scenario": (_scenario(group) for group in groups),
            "program": (_program(group) for group in groups),
        }
    )
    rows = map(_group, groups, summary.numbers)
    yield html_list.table("kinds of failures", GROUP_HEADINGS, rows, filtered=True)


def _scenario(group: FailureGroup) -> str:
    return group.trial.labels.get("scenario", group.scenario)


def _program(group: FailureGroup) -> str:
    return group.trial.labels.get("program", "")


def _group(group: FailureGroup, number: int) -> str:
    repeat = (
        f"<code>{escape(group.first.repeat_command)}</code><br>"
        f"<span class=soft>run {number}: <code>--unpack {number}</code></span>"
    )
    symptom = f'<span class="cause soft">{escape(group.symptom)}</span>'
    cells = [
        ("", "fixed", verdict(group.ending)),
        ("runs", "n", str(group.count)),
        ("", "", f"<b>{escape(_scenario(group))}</b>"),
        ("program", "", escape(_program(group))),
        ("", "wide", escape(group.failed_at) + symptom),
        ("", "wide", repeat),
    ]
    data = {"verdict": group.ending, "scenario": _scenario(group), "program": _program(group)}
    return html_list.row(cells, data)
