"""Every kvsim command of every page is run: here, or by the test that the table names.

The commands run here are those that a newcomer types, page by page, in the order of the page: in an
empty folder where the page begins with one, else in a folder with the files of the checkout.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.cli import command_parser
from kvsim.cli.loading import load_cases
from tests.docs.test_docs import PAGES, ROOT, shell_lines

# Page → its commands that run here, with their exit status; the first words are enough.
EMPTY_FOLDER = {
    "docs/README.md": {"kvsim init --demo": 0},
    "docs/tutorial.md": {
        "kvsim init --demo": 0,
        "kvsim run roles": 0,
        "kvsim run values requests": 0,
    },
}
CHECKOUT = {
    "docs/ci.md": {
        "kvsim lint cluster.yaml scenarios/roles.yaml": 0,
        "kvsim run scenarios/roles.yaml --github": 0,
        "kvsim verify runs/latest": 0,
    },
    "docs/power.md": {"kvsim run scenarios/power.yaml": 1},
    "docs/running-a-cluster.md": {
        "kvsim up": 0,
        "kvsim client leader put": 0,
        "kvsim kill leader": 0,
        "kvsim start each": 0,
        "kvsim pause n2": 0,
        "kvsim resume n2": 0,
        "kvsim restart each follower": 0,
        "kvsim down": 0,
    },
    "docs/selftest.md": {"kvsim selftest --list": 0},
    "docs/testing-a-store.md": {"kvsim test nodes/kvstore/majority.yaml": 0},
    "docs/timeline.md": {"kvsim report runs/latest": 0},
}
# What takes long on a page takes less here.
SHORTER = {"kvsim test": " --for 5s"}
# The beginning of a command → the tests that run it.
ELSEWHERE = {
    "kvsim campaign": "tests/campaign/test_campaign.py",
    "kvsim check": "tests/integration/test_wheel.py",
    "kvsim compare": "tests/learner/test_page.py",
    "kvsim doctor": "tests/learner/test_page.py",
    "kvsim grade": "tests/grading/test_grading.py",
    "kvsim heal": "tests/integration/test_cluster_changes.py",
    "kvsim init --demo": "tests/integration/test_wheel.py",
    "kvsim init --program ./build/kvstore": "tests/learner/test_page.py",
    "kvsim lint": "tests/integration/test_lint.py",
    "kvsim logs": "tests/integration/test_record_and_logs.py",
    "kvsim partition": "tests/integration/test_cluster_changes.py",
    "kvsim promote": "tests/integration/test_cluster_changes.py",
    "kvsim record": "tests/integration/test_record_and_logs.py",
    "kvsim repeat": "tests/trials/test_repeat.py",
    "kvsim report": "tests/report/test_server.py",
    "kvsim run promote fenced": "tests/integration/test_scenarios.py",
    "kvsim run replication order": "tests/integration/test_scenarios.py",
    "kvsim run roles.yaml": "tests/learner/test_page.py",
    "kvsim run scenarios/": "tests/integration/test_scenarios.py",
    "kvsim run settings.yaml": "tests/integration/test_matrix.py",
    "kvsim run storms/": "tests/integration/test_scenarios.py",
    "kvsim run survives durable": "tests/integration/test_scenarios.py",
    "kvsim selftest": "tests/integration/test_selftest.py",
    "kvsim serve": "tests/report/test_server.py",
    "kvsim shrink": "tests/trials/test_shrink.py",
    "kvsim status": "tests/integration/test_cluster_commands.py",
    "kvsim sweep": "tests/trials/test_sweep.py",
    "kvsim test": "tests/docs/test_page_commands.py",
    "kvsim top": "tests/integration/test_cluster_changes.py",
    "kvsim up --links": "tests/integration/test_cluster_changes.py",
    "kvsim verify runs/latest": "tests/learner/test_page.py",
}


def commands(page: Path) -> list[str]:
    lines = [line for line in shell_lines(page) if line.startswith("kvsim ")]
    return [line.rstrip("& ") for line in lines]


def test_every_command_of_every_page_is_run_by_a_test():
    missing = []
    for page in PAGES:
        here = {**EMPTY_FOLDER, **CHECKOUT}.get(str(page.relative_to(ROOT)), {})
        for command in commands(page):
            if not command.startswith((*here, *ELSEWHERE)):
                missing.append(f"{page.relative_to(ROOT)}: {command}")
    assert missing == []


@pytest.mark.parametrize(("command", "name"), ELSEWHERE.items())
def test_the_test_that_is_named_runs_the_command(command, name):
    """It has the verb as a word of a command line, or runs all commands of a page."""
    path = ROOT / name
    conftest = path.with_name("conftest.py")
    texts = [file.read_text(encoding="utf-8") for file in (path, conftest) if file.is_file()]
    verb = command.split()[1]
    pattern = rf"""["' (]{verb}["' ,)]|every_command_of_the_page"""
    assert any(re.search(pattern, text) for text in texts)


# Commands that read scenarios and clusters before they start anything.
LOADING = ("run", "repeat", "sweep", "campaign")
# Files that the reader has written on that page; the tests of ELSEWHERE run them.
WRITTEN_ON_PAGE = {Path("settings.yaml"), Path("roles.yaml")}
OWN_CLUSTER = """\
cluster: mine
program: node.yaml
nodes: {a: {role: leader, port: 9001}, b: {role: follower, port: 9002}}
"""


@pytest.fixture(params=["in the checkout", "where init was called"])
def readers_folder(request, tmp_path, monkeypatch) -> Path:
    """A folder with a description of a store; of the checkout, or with a cluster of its own."""
    shutil.copytree(ROOT / "nodes/kvstore", tmp_path, dirs_exist_ok=True)
    if request.param == "in the checkout":
        for name in ("scenarios", "clusters", "nodes", "cluster.yaml"):
            (tmp_path / name).symlink_to(ROOT / name)
    else:
        (tmp_path / "cluster.yaml").write_text(OWN_CLUSTER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_files_that_a_command_of_a_page_names_can_be_loaded(readers_folder):
    """The exact line, with all its options: nothing in it is a mistake. Nothing is started."""
    loaded = 0
    for page in PAGES:
        for command in commands(page):
            verb, *words = shlex.split(command, comments=True)[1:]
            if verb not in LOADING:
                continue
            arguments = command_parser(verb).parse_args(words)
            found = arguments.scenario
            scenarios = found if isinstance(found, list) else [found]
            is_file = any(path.suffix for path in scenarios)
            if WRITTEN_ON_PAGE & {*scenarios} or (is_file and not Path("scenarios").is_dir()):
                continue
            cases = load_cases(scenarios, arguments)
            assert len(cases) >= len(scenarios), command
            loaded += len(cases)
    assert loaded > 10


def free_port(stack: contextlib.ExitStack) -> int:
    found = stack.enter_context(socket.socket())
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]


def call(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "kvsim", *shlex.split(command)[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=100, env=environment
    )


def run_in_order(page: str, statuses: dict[str, int], folder: Path) -> None:
    for command in commands(ROOT / page):
        expected = next((statuses[key] for key in statuses if command.startswith(key)), None)
        if expected is None or ("kvsim up --links" in command):
            continue
        more = next((SHORTER[key] for key in SHORTER if command.startswith(key)), "")
        done = call(command + more, folder)
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, command


@pytest.mark.slow
@pytest.mark.parametrize("page", EMPTY_FOLDER)
def test_the_commands_of_the_page_work_in_an_empty_folder(page, tmp_path):
    folder = tmp_path / "a folder with a space"
    folder.mkdir()
    statuses = EMPTY_FOLDER[page]
    run_in_order(page, statuses, folder)
    assert (folder / "runs/latest/proof.txt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", CHECKOUT)
def test_the_commands_of_the_page_work_in_a_checkout(page, tmp_path):
    for name in ("scenarios", "clusters", "nodes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    text = (ROOT / "cluster.yaml").read_text()
    with contextlib.ExitStack() as stack:
        # Not those of the page, which another test may use at this moment.
        ports = iter([free_port(stack) for _ in range(3)])
        text = re.sub(r"port: \d+", lambda _: f"port: {next(ports)}", text)
    (tmp_path / "cluster.yaml").write_text(text)
    if page == "docs/timeline.md":
        run_in_order("docs/ci.md", {"kvsim run scenarios/roles.yaml --github": 0}, tmp_path)
    try:
        run_in_order(page, CHECKOUT[page], tmp_path)
    finally:
        call("kvsim down", tmp_path)
