"""The files that kvsim brings along, and the commands that it prints, on every kind of machine."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import pytest

from kvsim import shipped
from kvsim.cli.loading import load_cases, load_cluster_of, load_scenarios, scenario_file
from kvsim.config.program_loader import find_program
from kvsim.errors import UsageError
from kvsim.invocation import invocation

OWN_CLUSTER = (
    "cluster: mine\nprogram: kvstore\nnodes:\n"
    "  a: {role: leader, port: 9001}\n  b: {role: follower, port: 9002}\n"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder outside of the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(**given: object) -> argparse.Namespace:
    defaults = {"cell": [], "cluster": None, "program": None, "option": []}
    return argparse.Namespace(**(defaults | given))


def clusters_of(*names: str, **given: object) -> list[str]:
    cases = load_cases(list(map(Path, names)), arguments(**given))
    return [case.cluster.name for case in cases]


@pytest.mark.parametrize("name", shipped.shipped(shipped.SCENARIOS))
def test_every_scenario_is_found_by_name_with_its_cluster_and_programs(name):
    for scenario in load_scenarios(Path(name)):
        assert all(
            shipped.is_shipped(node.program.folder) for node in load_cluster_of(scenario).nodes
        )


def test_programs_are_found_by_name_and_the_users_own_come_first(elsewhere):
    assert find_program("kvstore", elsewhere) == shipped.PROGRAMS / "kvstore/node.yaml"
    own = elsewhere / "nodes/kvstore/node.yaml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_program("kvstore", elsewhere) == own


def test_a_file_of_the_user_hides_a_scenario_of_that_name(elsewhere):
    (elsewhere / "roles").touch()
    assert scenario_file(Path("roles")) == Path("roles")


def test_a_scenario_for_every_store_runs_on_the_cluster_of_this_folder(elsewhere):
    assert clusters_of("roles") == ["three"]
    (elsewhere / "cluster.yaml").write_text(OWN_CLUSTER)
    ((_, cluster, chosen),) = load_cases([Path("roles")], arguments())
    # For the command that repeats the run.
    assert (cluster.name, chosen.cluster) == ("mine", Path("cluster.yaml"))
    assert clusters_of("storms/majority") == ["storm-majority"]
    assert clusters_of("roles", cluster=Path("storm-majority")) == ["storm-majority"]
    assert clusters_of("roles", "storms/majority", "values") == ["mine", "storm-majority", "mine"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rolse", "did you mean `roles`"),
        ("roles.yaml", "`roles`, without an ending"),
        ("scenarios/storms/majority.yaml", "`storms/majority`, without an ending"),
    ],
)
def test_a_wrong_name_is_said_with_the_right_one(name, message):
    with pytest.raises(UsageError, match=message):
        scenario_file(Path(name))


@pytest.fixture
def machine(elsewhere, monkeypatch):
    """Make a folder of programs with these files, on the path or not; the first is the interpreter
    that runs kvsim."""

    def make(folder: str, *programs: str, on_path: bool) -> None:
        for program in programs:
            path = elsewhere / folder / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o755)
        monkeypatch.setattr(sys, "executable", str(elsewhere / folder / programs[0]))
        monkeypatch.setenv("PATH", str(elsewhere / folder) if on_path else "/nowhere")

    return make


@pytest.mark.parametrize(
    ("folder", "programs", "on_path", "expected"),
    [
        ("bin", ("python3.12", "kvsim"), True, ("kvsim",)),
        ("bin", ("python3",), True, ("python3", "-m", "kvsim")),
        ("bin", ("python",), True, ("python", "-m", "kvsim")),
        (".venv/bin", ("python", "kvsim"), False, (".venv/bin/python", "-m", "kvsim")),
    ],
)
def test_a_printed_command_works_on_this_machine(machine, folder, programs, on_path, expected):
    machine(folder, *programs, on_path=on_path)
    assert invocation() == expected


def test_a_printed_command_names_an_interpreter_elsewhere_by_its_file(machine, monkeypatch):
    machine("elsewhere/bin", "python3", on_path=False)
    interpreter = sys.executable
    monkeypatch.chdir("/usr")
    assert shutil.which("python3") is None
    assert invocation() == (interpreter, "-m", "kvsim")


def test_a_printed_command_knows_the_link_that_pipx_makes(machine, monkeypatch, tmp_path):
    machine("pipx/venvs/kvsim/bin", "python", "kvsim", on_path=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kvsim").symlink_to(Path(sys.executable).with_name("kvsim"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert invocation() == ("kvsim",)
