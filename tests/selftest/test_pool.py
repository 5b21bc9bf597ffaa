"""Jobs run several at once; one that crashes or hangs is one result."""

from __future__ import annotations

import pytest

from kvsim.selftest.pool import Done, Job, run_all


def ran(jobs: list[Job], folder, **how) -> dict[str, Done]:
    found: dict[str, Done] = {}
    run_all(
        jobs,
        folder,
        on_done=lambda done: found.setdefault(done.job.name, done),
        **{"at_once": 2, "limit_s": 30, **how},
    )
    return found


def test_each_job_has_its_output_and_its_status(tmp_path):
    found = ran([Job("version", ("--version",)), Job("wrong", ("rum",)), Job("help", ("--help",))], tmp_path)
    assert found["version"].out.startswith("kvsim ")
    assert found["version"].ended.status == 0
    assert found["wrong"].ended.status == 4
    assert "did you mean `run`" in found["wrong"].err
    assert set(found) == {"version", "wrong", "help"}


def test_a_job_that_is_not_over_in_time_is_ended(tmp_path):
    found = ran([Job("late", ("--version",)), Job("next", ("--version",))], tmp_path, limit_s=0, at_once=1)
    assert {done.ended for done in found.values()} <= {None, found["next"].ended}
    assert len(found) == 2


def test_what_is_under_way_is_ended_when_the_caller_gives_up(tmp_path):
    def give_up(done: Done) -> None:
        raise KeyError(done.job.name)

    with pytest.raises(KeyError, match="first"):
        run_all(
            [Job("first", ("--version",)), Job("second", ("--help",))],
            tmp_path,
            at_once=1,
            limit_s=30,
            on_done=give_up,
        )


def test_no_jobs_are_no_work(tmp_path):
    assert ran([], tmp_path) == {}
