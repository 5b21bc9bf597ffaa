"""Can a plan tell a correct store from a broken one? Its scenarios with the reference store, and
with the reference store with a planted bug, before the first submission is graded.

These stores are kvsim's own: they run outside of the sandbox, as their own node.yaml describes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from kvsim import shipped
from kvsim.config.needs import unmet_needs
from kvsim.config.plan import GradingPlan
from kvsim.config.program_loader import load_program
from kvsim.config.scenario import Scenario
from kvsim.errors import Problem
from kvsim.grading.grading import seed_of
from kvsim.grading.scoring import Grade, grade_of
from kvsim.grading.workspace import copied_name, copy_plan
from kvsim.run_directory import make_folder
from kvsim.runner.registry import REGISTRY
from kvsim.trials.pool import run_all
from kvsim.trials.trial import OnProgress, Trial, TrialResult

# The files of a program, from the fewest capabilities to the most.
VARIANTS = ("node.yaml", "async.yaml", "majority.yaml", "all.yaml")


class CheckedStore(Struct, frozen=True):
    """A store that the plan is tried with. `bug`: the planted bug; empty for the correct store."""

    name: str
    bug: str = ""

    @property
    def folder(self) -> Path:
        return shipped.PROGRAMS / ("broken" if self.bug else "kvstore")


STORES = (
    CheckedStore("the reference store"),
    CheckedStore("its follower accepts PUT", "follower_accepts_put"),
    CheckedStore("its leader stores nothing", "leader_acknowledges_without_storing"),
)
RUNS_FACTOR = len(STORES)


def check_plan(
    plan: GradingPlan,
    out: Path,
    jobs: int,
    secret: str,
    on_progress: OnProgress = lambda made, newest: None,
) -> tuple[list[Grade], bool]:
    """The grade of each of STORES, and whether every run was made. Everything is kept in `out`."""
    make_folder(out / "runs")
    copy_plan(plan, out / "plan")
    results: dict[tuple[str, str], list[TrialResult]] = {
        (store.name, item.name): [] for store in STORES for item in plan.items
    }
    made = itertools.count(1)

    def on_result(trial: Trial, result: TrialResult) -> bool:
        results[trial.labels["store"], trial.labels["item"]].append(result)
        on_progress(next(made), result)
        return False

    complete = run_all(
        _trials(plan, out / "plan", secret),
        jobs,
        on_result,
        out=out / "runs",
        limit_s=plan.limits.time_s,
    )
    grades = [
        grade_of(plan, store.name, [results[store.name, item.name] for item in plan.items], ())
        for store in STORES
    ]
    return grades, complete


def conclusions(grades: Sequence[Grade], plan: GradingPlan) -> list[str]:
    """What is wrong with the plan, one line each; empty for a plan that tells the stores apart."""
    correct, *broken = grades
    lines = []
    if correct.total < plan.points:
        lines.append(
            f"a correct store gets {correct.total:g} of {plan.points} points ({correct.why}): the "
            "plan asks for what the reference store does not do, or gives too little time"
        )
    lines += [
        f"a broken store gets all points ({grade.submission}): no scenario of the plan shows this "
        "mistake; `roles` shows it (kvsim brings it along)"
        for grade in broken
        if grade.total >= plan.points
    ]
    return lines


def _trials(plan: GradingPlan, folder: Path, secret: str) -> Iterator[Trial]:
    for item in plan.items:
        for number, scenario in itertools.product(range(item.runs), item.scenarios):
            for store in STORES:
                option = ("-o", f"bug={store.bug}") if store.bug else ()
                program = _program_for(scenario, store.folder)
                yield Trial(
                    scenario=str(folder / item.name / copied_name(scenario)),
                    seed=seed_of(secret, item.name, number),
                    arguments=("--program", str(program), *option),
                    labels={"store": store.name, "item": item.name},
                )


def _program_for(scenario: Scenario, folder: Path) -> Path:
    """The first variant of a program that has what the scenario needs; the last when none has."""
    paths = [folder / name for name in VARIANTS]
    return next((path for path in paths if _meets(path, scenario)), paths[-1])


def _meets(path: Path, scenario: Scenario) -> bool:
    problems: list[Problem] = []
    program = load_program(str(path), path.parent, problems, REGISTRY)
    return program is not None and not unmet_needs(scenario.needs, [program])
