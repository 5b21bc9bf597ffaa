"""A good submission gets its points with every isolation that this system has."""

from __future__ import annotations

import pytest

from kvsim.cli.loading import load_scenarios
from kvsim.config.plan_loader import load_plan
from kvsim.grading.grading import Grading, grade_all
from kvsim.grading.sandbox import Isolation


@pytest.mark.slow
@pytest.mark.parametrize("wanted", list(Isolation))
def test_a_good_submission_gets_its_points(school, isolation, wanted):
    if list(Isolation).index(wanted) < list(Isolation).index(isolation):
        pytest.skip(f"here a submission has {isolation.value}")
    folder = school.submission("good")
    (folder / "build.sh").write_text("touch built")
    school.plan("build: [sh, build.sh]\nscenarios: [{file: roles.yaml, points: 10}]")
    plan = load_plan(school.folder / "plan.yaml", load_scenarios)
    grading = Grading(plan, (folder,), school.folder / "out", wanted, 1, "secret")
    [grade], complete = grade_all(grading)
    assert complete and grade.total == 10, grade.to_json()
    assert (school.folder / "out/good/submission/built").exists()
    assert not (folder / "built").exists()
