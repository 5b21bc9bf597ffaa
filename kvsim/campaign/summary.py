"""The results of a campaign, for the terminal and the page. Reads the database only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kvsim.campaign.database import Database
from kvsim.errors import Exit
from kvsim.trials.confidence import Rate
from kvsim.trials.failure_groups import FailureGroup, describe_group, group_failures
from kvsim.trials.trial import BAD, Ending, exit_of

# Column of the database → heading of its table.
TABLES = {"scenario": "scenario", "program": "program", "faults": "fault"}


class SummaryRow(Struct, frozen=True):
    """One row of a table: how the runs with this label ended."""

    label: str
    counts: Mapping[Ending, int]

    @property
    def made(self) -> int:
        return sum(self.counts.values())

    @property
    def passed(self) -> Rate:
        """Of those that were not skipped."""
        return Rate(self.counts.get(Ending.PASS, 0), self.made - self.counts.get(Ending.SKIPPED, 0))


class CampaignSummary(Struct, frozen=True):
    """All results. `numbers`: the number of each group's first run. `period`: when the first and
    the last result came; empty texts before the first.
    """

    planned: int
    whole: SummaryRow
    tables: Mapping[str, tuple[SummaryRow, ...]]
    groups: tuple[FailureGroup, ...]
    numbers: tuple[int, ...]
    median_s: float
    slowest_s: float
    workers: Mapping[str, int]
    period: tuple[str, str]

    @property
    def complete(self) -> bool:
        return self.whole.made >= self.planned

    @property
    def exit(self) -> Exit:
        """That of the worst ending.

        An incomplete campaign without a failure is unknown: the missing runs may fail.
        """
        missing = [] if self.complete else [Ending.INTERRUPTED]
        return exit_of([*self.whole.counts, *missing])

    def to_json(self) -> dict[str, Any]:
        return {
            "planned": self.planned,
            "made": self.whole.made,
            "complete": self.complete,
            "endings": {str(ending): count for ending, count in self.whole.counts.items()},
            "tables": {
                heading: {row.label: row.passed.to_json() for row in rows}
                for heading, rows in self.tables.items()
            },
            "groups": [
                {**group.to_json(), "number": number}
                for group, number in zip(self.groups, self.numbers, strict=True)
            ],
            "median_s": self.median_s,
            "slowest_s": self.slowest_s,
            "workers": dict(self.workers),
        }


def summary_of(database: Database) -> CampaignSummary:
    """Everything that the terminal and the page show."""
    bad = list(database.pairs(*BAD))
    number_of = {trial.key: number for number, trial, _ in bad}
    groups = group_failures((trial, result) for _, trial, result in bad)
    times = database.times() or [0.0]
    return CampaignSummary(
        planned=int(database.setting("planned") or 0),
        whole=SummaryRow("all", database.counts()),
        tables={
            heading: tuple(
                SummaryRow(label, counts) for label, counts in database.counts_by(column).items()
            )
            for column, heading in TABLES.items()
        },
        groups=tuple(groups),
        numbers=tuple(number_of[group.trial.key] for group in groups),
        median_s=times[len(times) // 2],
        slowest_s=times[-1],
        workers=database.workers(),
        period=database.period(),
    )


def text_of(summary: CampaignSummary) -> str:
    """The summary as text."""
    missing = "" if summary.complete else f" of {summary.planned}; not complete"
    lines = [
        f"{summary.whole.made} runs{missing} (median {summary.median_s:.1f} s, "
        f"slowest {summary.slowest_s:.1f} s)"
    ]
    lines += [f"  {ending:<12}{count:>7}" for ending, count in summary.whole.counts.items()]
    for heading, rows in summary.tables.items():
        width = max([len(row.label) for row in rows], default=0)
        lines += ["", f"PASSED, BY {heading.upper()}"]
        lines += [
            f"  {row.label:<{width}}  {row.passed.count:>6} of {row.passed.total:<6}{row.passed}"
            for row in rows
        ]
    if summary.groups:
        lines += ["", "WHERE RUNS FIRST WENT WRONG"]
        lines += [
            f"{describe_group(group)}\n       its run directory: --unpack {number}"
            for group, number in zip(summary.groups, summary.numbers, strict=True)
        ]
    return "\n".join(lines)
