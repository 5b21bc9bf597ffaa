"""The pytest plugin, as another project uses it: pytest runs on the files of a new folder."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kvsim.faults.preload.build import COMPILERS

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[2]
CLUSTER = """cluster: three
program: {program}
nodes:
  n1: {{role: leader,   port: 9001}}
  n2: {{role: follower, port: 9002}}
  n3: {{role: follower, port: 9003}}
"""
GOOD = """scenario: good
title: The leader stores
cluster: ../cluster.yaml
steps:
  - put: {at: leader, key: k, value: v, expect: ok}
"""
BAD = """scenario: bad
title: A follower that is asked for too much
cluster: ../cluster.yaml
steps:
  - put: {at: leader, key: k, value: v, expect: ok}
  - put: {at: n2, key: k, value: v, expect: ok}
"""
INSTALLED = bool(entry_points(group="pytest11", name="kvsim"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.path.joinpath("cluster.yaml").write_text(
        CLUSTER.format(program=ROOT / "nodes/kvstore/node.yaml")
    )
    return pytester


def write(project: pytest.Pytester, name: str, text: str) -> None:
    path = project.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    plugin = () if INSTALLED else ("-p", "kvsim.pytest_plugin")
    return project.runpytest_subprocess(
        *plugin, "-p", "no:cacheprovider", "-W", "error", *words, timeout=120
    )


def test_scenarios_of_a_folder_are_tests_and_a_failure_is_at_its_step(project):
    write(project, "scenarios/good.yaml", GOOD)
    write(project, "scenarios/bad.yaml", BAD)
    write(project, "scenarios/notes.yaml", "not: a scenario\n")
    result = run(project, "scenarios", "--junitxml=out.xml")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert re.search(r"scenarios/bad\.yaml:6: fail: step \S+: n2: got refused", text)
    assert "received  ERR read-only" in text
    assert "kvsim proof" in text and "VERDICT: FAIL" in text
    timeline = re.search(r"timeline: (\S+report\.html)", text)
    assert timeline and Path(timeline[1]).is_file()
    cases = ElementTree.parse(project.path / "out.xml").iter("testcase")
    properties = {
        p.get("name"): p.get("value")
        for case in cases
        if case.get("name") == "bad"
        for p in case.iter("property")
    }
    assert properties["kvsim_verdict"] == "fail"
    assert Path(properties["kvsim_proof"]).is_file()


@pytest.mark.slow
def test_the_option_for_time_limits_is_for_scenarios_and_for_fixtures(project):
    write(project, "scenarios/good.yaml", GOOD)
    write(
        project,
        "test_own.py",
        "def test_own(kv_cluster):\n    assert kv_cluster.leader.put('k', 'v').ok\n",
    )
    words = ("--kvsim-out", "out", "scenarios", "test_own.py")
    run(project, "--kvsim-time-limits", "x2", *words).assert_outcomes(passed=2)
    metas = [path.read_text() for path in project.path.glob("out/[0-9]*/meta.json")]
    assert [json.loads(meta)["time_limits"]["how"] for meta in metas] == ["x2", "x2"]
    wrong = run(project, "--kvsim-time-limits", "x0", *words)
    wrong.stderr.fnmatch_lines(["*expected calibrated, as-written, or a factor such as x3*"])


@pytest.mark.slow
def test_a_matrix_is_a_test_for_each_cell(project):
    text = GOOD.replace("expect: ok", 'expect: "{outcome}"')
    write(
        project,
        "scenarios/good.yaml",
        text.replace("steps:", "matrix: {outcome: [ok, refused]}\nsteps:", 1),
    )
    result = run(project, "scenarios", "-v", "-k", "good")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*scenarios/good.yaml::good[[]outcome=ok[]] PASSED*"])
    run(project, "scenarios/good.yaml::good[outcome=ok]").assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_mistake_in_a_scenario_is_reported_with_its_location(project):
    write(project, "scenarios/wrong.yaml", GOOD.replace("put:", "putt:"))
    result = run(project, "scenarios")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*wrong.yaml:5:*putt*put*"])


@pytest.mark.slow
def test_yaml_elsewhere_is_ignored_unless_it_is_named(project):
    write(project, "data/good.yaml", GOOD)
    assert run(project).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run(project, "data/good.yaml").assert_outcomes(passed=1)


def test_the_fixture_starts_a_cluster_for_requests_and_faults(project):
    project.makepyfile(
        """
        import pytest

        def test_roles(kv_cluster):
            leader, follower = kv_cluster.leader, kv_cluster.followers[0]
            assert leader.put("k", "v").ok
            refusal = follower.put("k", "w")
            assert refusal.refused and refusal.leader == leader.name
            assert leader.get("k").value == "v"
            assert leader.get("nothing").found is False
            assert "starting as LEADER" in leader.log
            with pytest.raises(TypeError):
                assert leader.get("k")

        def test_faults(kv_cluster):
            leader = kv_cluster.leader
            with leader.paused():
                assert leader.get("k", timeout_s=0.2).unknown
            assert leader.get("k").ok
            assert leader.put("k", "v").ok
            with leader.killed():
                assert not leader.up
            assert kv_cluster.wait_for_leader().get("k").value == "v"
            kv_cluster["n2"].stop()
            assert [node.name for node in kv_cluster.followers] == ["n3"]
            kv_cluster["n2"].start()
            assert len(kv_cluster.followers) == 2
        """
    )
    run(project).assert_outcomes(passed=2)


@pytest.mark.slow
def test_a_failing_test_has_a_proof_and_a_timeline_that_names_its_lines(project):
    project.makepyfile(
        """
        def test_wrong(kv_cluster):
            kv_cluster.leader.put("k", "v")
            assert kv_cluster.leader.get("k").value == "w"
        """
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "the run did not finish: the test failed" in text
    timeline = re.search(r"file://(\S+report\.html)", text)
    assert timeline and 'kv_cluster.leader.put(\\"k\\", \\"v\\")' in Path(timeline[1]).read_text()


@pytest.mark.slow
def test_a_run_is_judged_even_when_the_test_passes(project):
    project.makepyfile(
        f"""
        import os, signal

        def test_a_node_dies_unnoticed(kv_cluster):
            os.kill(kv_cluster["n3"].pid, signal.SIGKILL)
            kv_cluster.leader.get("k")

        def test_on_purpose(cluster_factory):
            program = "{ROOT}/nodes/kvstore/node.yaml"
            cluster = cluster_factory("cluster.yaml", judge=False, program=program)
            os.kill(cluster["n3"].pid, signal.SIGKILL)
            cluster.leader.get("k")
        """
    )
    result = run(project)
    result.assert_outcomes(passed=2, errors=1)
    assert "nodes_stay_up: " in result.stdout.str()


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C compiler")
@pytest.mark.slow
def test_a_python_test_can_break_disks_and_clocks(project):
    project.makepyfile(
        """
        import json
        import pytest
        from kvsim.errors import UsageError

        def test_a_full_disk_and_a_wrong_clock(cluster_factory):
            cluster = cluster_factory(preload=True, judge=False)
            leader = cluster.leader
            with cluster.disk(leader, how="full"):
                assert not leader.put("k", "v").ok
            with cluster.clock(leader, by_s=-30):
                leader.get("k")
            journal = (cluster.run_directory / "history.jsonl").read_text()
            events = [json.loads(line) for line in journal.splitlines()]
            evidence = [event for event in events if event["event"] == "fault_evidence"]
            assert [item["took_effect"] for item in evidence] == [True, True]

        def test_mistakes(cluster_factory):
            cluster = cluster_factory(preload=True)
            wrong = cluster.disk(cluster.leader, how="ful")
            with pytest.raises(UsageError, match="full, failing, slow"), wrong:
                pass
            without = cluster_factory()
            shifted = without.clock(without.leader, by_s=1)
            with pytest.raises(UsageError, match="preload=True"), shifted:
                pass
        """
    )
    run(project).assert_outcomes(passed=2)


@pytest.mark.slow
def test_another_program_for_the_whole_suite_and_a_skip_with_its_reason(project):
    write(project, "scenarios/good.yaml", GOOD)
    write(
        project,
        "scenarios/elects.yaml",
        GOOD.replace("good", "elects").replace("cluster:", "needs: [elects]\ncluster:", 1),
    )
    result = run(
        project,
        "scenarios",
        "-rs",
        "--kvsim-program",
        str(ROOT / "nodes/kvstore/node.yaml"),
        "--kvsim-seed",
        "7",
    )
    result.assert_outcomes(passed=1, skipped=1)
    assert "elects" in result.stdout.str()
    missing = run(project, "scenarios/good.yaml", "--kvsim-program", "no-such-program")
    missing.assert_outcomes(failed=1)
    assert "no-such-program" in missing.stdout.str()


@pytest.mark.slow
def test_on_github_a_failure_is_an_annotation_on_its_line(project, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write(project, "scenarios/bad.yaml", BAD)
    text = run(project, "scenarios").stdout.str()
    assert "::error file=scenarios/bad.yaml,line=6,title=kvsim expectations::" in text


@pytest.mark.slow
def test_xdist_workers_do_not_collide_and_report_failures(project):
    for number in range(6):
        write(project, f"scenarios/good{number}.yaml", GOOD.replace("good", f"good{number}"))
    write(project, "scenarios/bad.yaml", BAD)
    result = run(project, "scenarios", "-n", "2")
    result.assert_outcomes(passed=6, failed=1)
    assert re.search(r"bad\.yaml:6: fail: step", result.stdout.str())


@pytest.mark.slow
def test_an_outside_project_with_the_built_wheel(project, monkeypatch):
    built = project.run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "dist",
        str(ROOT),
        timeout=120,
    )
    assert built.ret == 0
    (wheel,) = (project.path / "dist").glob("kvsim-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(project.path / "site")
    assert {
        "kvsim/py.typed",
        "kvsim/report/timeline/page.html",
        "kvsim/report/timeline/main.js",
    } <= set(names)
    monkeypatch.setenv("PYTHONPATH", str(project.path / "site"))
    write(project, "scenarios/good.yaml", GOOD)
    project.makepyfile(
        """
        import kvsim

        def test_it(kv_cluster):
            assert "site" in kvsim.__file__
            assert kv_cluster.leader.put("k", "v").ok
        """
    )
    # Not `site`: the wheel has scenarios of its own.
    words = ("--ignore=site", ".")
    result = project.runpytest_subprocess("-p", "no:cacheprovider", *words, timeout=120)
    result.assert_outcomes(passed=2)
