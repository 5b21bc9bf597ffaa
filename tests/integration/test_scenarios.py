"""The shipped scenarios: no false alarm on the correct store; an edited proof is not valid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kvsim.cli.loading import load_cluster, load_cluster_of
from kvsim.cli.selftest import own_scenarios
from kvsim.config.scenario import Scenario, fault_kinds_of
from kvsim.faults.preload.build import NotBuilt, find_compiler
from kvsim.selftest.bugs_file import load_bugs

ROOT = Path(__file__).parents[2]
BUGS_FILE = load_bugs(ROOT / "nodes/broken/bugs.yaml")
SEEDS = (1, 2, 3)


def kvsim(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kvsim", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run(scenario: Path | str, out: Path, *more: object) -> tuple[Path, dict]:
    """The run directory and the proof."""
    done = kvsim("run", ROOT / "scenarios" / scenario, "--json", "--out", out, *more)
    assert done.stdout, done.stderr
    proof = json.loads(done.stdout.splitlines()[-1])
    return Path(proof["run_directory"]), proof


def findings(proof: dict) -> list[str]:
    return [f"{c['name']}: {f['message']}" for c in proof["checks"] for f in c["findings"]]


def skip_unless_possible(scenario: Scenario) -> list:
    """Faults of disks and clocks need a compiler."""
    try:
        find_compiler()
    except NotBuilt as error:
        kinds = fault_kinds_of(scenario, load_cluster_of(scenario).links)
        return [pytest.mark.skip(reason=str(error))] if any(k.preloads for k in kinds) else []
    return []


def name_of(scenario: Scenario) -> str:
    path = scenario.path.relative_to(BUGS_FILE.scenarios).with_suffix("")
    return f"{path}{scenario.label.removeprefix(scenario.name)}"


def _has_load(scenario) -> bool:
    return any(step.verb == "load" for step in scenario.steps)


def runs() -> list:
    """Every scenario of the reference store with a seed, and those of fixed roles with several.

    Those of fixed roles without a load are quick.
    """
    own = own_scenarios(BUGS_FILE)
    fixed = [scenario for scenario in own if scenario.cluster == ROOT / "cluster.yaml"]
    pairs = [
        (scenario, seed) for scenario in own for seed in (SEEDS if scenario in fixed else SEEDS[:1])
    ]
    return [
        pytest.param(
            scenario,
            seed,
            id=f"{name_of(scenario)}-{seed}",
            marks=[
                *(
                    []
                    if scenario in fixed and seed == 1 and not _has_load(scenario)
                    else [pytest.mark.slow]
                ),
                *skip_unless_possible(scenario),
            ],
        )
        for scenario, seed in pairs
    ]


@pytest.mark.parametrize(("scenario", "seed"), runs())
def test_the_correct_store_passes(scenario, seed, tmp_path):
    directory, proof = run(scenario.path, tmp_path, "--seed", seed, *scenario.cell_arguments)
    assert proof["verdict"] == "pass", findings(proof)
    assert findings(proof) == []
    assert kvsim("verify", directory).returncode == 0


def test_all_scenarios_of_fixed_roles_exist():
    own = {scenario.path.stem for scenario in own_scenarios(BUGS_FILE)}
    assert own >= {
        "roles",
        "reads",
        "refusals",
        "survives",
        "follower_restart",
        "redirect",
        "leader_down",
        "requests",
        "values",
    }


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_scenario_has_a_title_and_names_its_checks(path):
    text = path.read_text(encoding="utf-8")
    assert "\ntitle: " in f"\n{text}"
    assert "\nchecks: [" in text, f"{path}: name the checks that must have something to judge"
    assert f"scenario: {path.stem}\n" in text, f"{path}: its name is its file's"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "clusters").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_cluster_file_can_be_read(path):
    assert load_cluster(path).nodes


# --- proofs and edits ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """One run of the roles scenario, to be copied and edited."""
    return run("roles.yaml", tmp_path_factory.mktemp("recorded"), "--seed", 4127)[0]


@pytest.fixture
def copy(recorded, tmp_path) -> Path:
    shutil.copytree(recorded, tmp_path / "run")
    return tmp_path / "run"


def edit(name: str, old: str, new: str) -> Callable[[Path], str]:
    """A function that edits a file of a run and returns the name that `verify` must report."""

    def do(run: Path) -> str:
        path = run / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} holds no {old!r}: the test has nothing to edit"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return name

    return do


def remove(name: str) -> Callable[[Path], str]:
    def do(run: Path) -> str:
        (run / name).unlink()
        return name

    return do


def append(name: str, text: str) -> Callable[[Path], str]:
    def do(run: Path) -> str:
        with (run / name).open("a", encoding="utf-8") as file:
            file.write(text)
        return name

    return do


EDITS = {
    "the verdict in proof.txt": edit("proof.txt", "VERDICT: PASS", "VERDICT: FAIL"),
    "a reply in proof.txt": edit("proof.txt", "ERR read-only", "OK"),
    "the seed in proof.txt": edit("proof.txt", "4127", "4128"),
    "an empty line behind proof.txt": append("proof.txt", "\n"),
    "the verdict in proof.json": edit("proof.json", '"verdict": "pass"', '"verdict": "fail"'),
    "a reply in proof.json": edit("proof.json", "ERR read-only", "OK"),
    "a node's role in proof.json": edit("proof.json", '"role": "leader"', '"role": "follower"'),
    "the seed in meta.json": edit("meta.json", "4127", "4128"),
    "a reply in the history": edit("history.jsonl", "ERR read-only", "OK"),
    "an outcome in the history": edit("history.jsonl", '"kind":"refused"', '"kind":"ok"'),
    "an event more in the history": append("history.jsonl", '{"at_s":9,"event":"note"}\n'),
    "the role in a log": edit("nodes/n2/1.log", "FOLLOWER", "LEADER"),
    "a line more in a log": append("nodes/n3/1.log", "[node] all is well\n"),
    "a log that is gone": remove("nodes/n1/1.log"),
    "an expectation in the scenario": edit("scenario.yaml", "expect: ok", "expect: refused"),
    "the cluster": edit("cluster.yaml", "9001", "9009"),
    "proof.txt that is gone": remove("proof.txt"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_run_is_not_valid_and_the_file_is_named(copy, what):
    name = EDITS[what](copy)
    done = kvsim("verify", copy)
    assert done.returncode != 0, f"{what}: not found"
    assert name in done.stdout + done.stderr, done.stdout + done.stderr
    assert "the proof is valid" not in done.stdout
    assert "Traceback" not in done.stderr


def test_an_unedited_run_is_valid(copy):
    done = kvsim("verify", copy)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("VERDICT: PASS\n")
    assert kvsim("verify", copy / "proof.json").returncode == 0


def test_a_failure_stays_a_failure_when_its_proof_is_edited(tmp_path):
    """`verify` finds a failed run whose proof was edited to PASS, and prints the true verdict."""
    cluster = (ROOT / "cluster.yaml").read_text()
    cluster = cluster.replace("kvstore", f"{ROOT}/nodes/kvstore/node.yaml")
    # kvsim waits so long after a write that a follower accepts.
    (tmp_path / "cluster.yaml").write_text(f"{cluster}\nlag: {{within: 200ms}}\n")
    directory, proof = run(
        "roles.yaml",
        tmp_path,
        "--cluster",
        tmp_path / "cluster.yaml",
        "--program",
        "nodes/broken/node.yaml",
        "-o",
        "bug=follower_accepts_delete",
    )
    assert proof["verdict"] == "fail"
    for name in ("proof.txt", "proof.json"):
        path = directory / name
        path.write_text(
            path.read_text()
            .replace('"verdict": "fail"', '"verdict": "pass"')
            .replace("VERDICT: FAIL", "VERDICT: PASS")
        )
    done = kvsim("verify", directory)
    assert done.returncode == 3
    assert "judged again, the run gives FAIL" in done.stdout
    assert "proof.json" in done.stdout
    assert "proof.txt" in done.stdout


def test_a_failing_step_is_reported_in_full(tmp_path):
    """Where, what, who, sent, received, expected, before and after, meaning, log, again."""
    directory, _ = run(
        "refusals.yaml",
        tmp_path,
        "--program",
        "nodes/broken/node.yaml",
        "-o",
        "bug=follower_refuses_but_stores",
    )
    text = (directory / "proof.txt").read_text()
    report = text[text.index("scenarios/refusals.yaml:") :]
    for word in ("sent ", "received ", "expected ", "before ", "after ", "[node] ", "again "):
        assert word in report, f"the report has no {word!r}:\n{report}"
    assert "refused, but stored" in text
    # The command that repeats the run is complete.
    assert "-o bug=follower_refuses_but_stores" in text


@pytest.mark.slow
def test_a_check_of_state_compares_the_nodes_and_obeys_eventually(tmp_path):
    """A regression: `check: {state: …}` compared nothing and ignored `eventually`."""
    out = tmp_path / "out"
    _, proof = run(
        "refusals.yaml",
        out,
        "--program",
        "nodes/broken/node.yaml",
        "-o",
        "bug=follower_refuses_but_stores",
    )
    (step,) = [
        step for step in proof["steps"] if step["verb"] == "check" and step["id"].startswith("3.")
    ]
    assert step["targets"] == ["n1", "n2", "n3"]
    assert step["result"] == "fail"
    assert "n2" in step["why"]
    _, proof = run(
        "order.yaml", out, "--program", "nodes/broken/async.yaml", "-o", "bug=applies_twice"
    )
    whys = [step["why"] for step in proof["steps"] if "state: same" in step["text"]]
    assert any("not within 3s" in why for why in whys), whys
