"""kvsim ends at any moment, by any signal, and leaves nothing behind.

The moments are drawn; the seed is printed, and KVSIM_STRESS_SEED repeats them. KVSIM_STRESS=200 (or
another number) makes that many in all; the default is a share of them.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvsim.process.ports import reserve
from kvsim.process.process_tree import become_subreaper
from tests.grading.conftest import School
from tests.stress.endings import SIGNALS, Work, count_events, end_at

MOMENTS = int(os.environ.get("KVSIM_STRESS", "22"))
SEED = int(os.environ.get("KVSIM_STRESS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

SCENARIO = """\
scenario: busy
title: faults, a load and restarts
cluster: ../cluster.yaml
vars: {{k: random_key, v: random_value}}
steps:
  - put: {{at: leader, key: "{{k}}", value: "{{v}}"}}
  - load: {{start: w, clients: 4, at: leader, mix: {{get: 50, put: 50}}, keys: 4, rate: 400}}
  - fault: {{pause: n2, do: [{{sleep: {{for: 100ms, why: paused}}}}]}}
  - fault: {{{fault}, do: [{{get: {{at: leader, key: "{{k}}"}}}}]}}
  - restart: n3
  - load: {{stop: w}}
"""
FAULTS = {
    "proxied": "partition: leader alone",
    "netns": "partition: leader alone",
    "preload": "disk: {at: n2, how: slow}",
}


def make_project(folder: Path, root: Path, ports: list[int], links: str = "direct") -> None:
    """A project with a cluster of three reference nodes."""
    (folder / "scenarios").mkdir(parents=True)
    program = (root / "nodes/kvstore/node.yaml").resolve()
    nodes = ", ".join(
        f"n{number}: {{role: {'follower' if number > 1 else 'leader'}, port: {port}}}"
        for number, port in enumerate(ports, 1)
    )
    (folder / "cluster.yaml").write_text(
        f"cluster: stress\nprogram: {program}\nlinks: {links}\nnodes: {{{nodes}}}\n"
    )
    shutil.copy(root / "scenarios/roles.yaml", folder / "scenarios")


def run_with(fault: str) -> Callable[[Path, Path, list[int]], list[str]]:
    def make(project: Path, root: Path, ports: list[int]) -> list[str]:
        links = fault if fault in ("proxied", "netns") else "direct"
        make_project(project, root, ports, links)
        text = SCENARIO.replace("{{", "{").replace("}}", "}").replace("{fault}", FAULTS[fault])
        (project / "scenarios/busy.yaml").write_text(text)
        return ["run", "scenarios/busy.yaml"]

    return make


def command(*words: str) -> Callable[[Path, Path, list[int]], list[str]]:
    def make(project: Path, root: Path, ports: list[int]) -> list[str]:
        make_project(project, root, ports)
        return [word.replace("ROOT", str(root)) for word in words]

    return make


def shrinking(project: Path, root: Path, ports: list[int]) -> list[str]:
    make_project(project, root, ports)
    return ["shrink", "--tries", "1", "--out", "small.yaml"]


def grading(project: Path, root: Path, ports: list[int]) -> list[str]:
    school = School(project, root)
    for name in ("ann", "bob"):
        school.submission(name)
    return ["grade", "subs", "--plan", "plan.yaml", "--out", "grades", "-j", "2"]


BROKEN = ("--program", "ROOT/nodes/broken/node.yaml", "-o", "bug=answers_twice")
# Command → what makes its project and its words, commands before, commands after.
WORKS = {
    "run": (run_with("preload"), (), ()),
    "run-proxied": (run_with("proxied"), (), ()),
    "run-netns": (run_with("netns"), (), ()),
    "up": (command("up", "--links"), (), (("down",),)),
    "down": (command("down"), (("up", "--links"),), (("down",),)),
    "repeat": (command("repeat", "scenarios/roles.yaml", "-n", "3", "-j", "2"), (), ()),
    "sweep": (command("sweep", "scenarios/roles.yaml", "-j", "2"), (), ()),
    "shrink": (shrinking, (("run", "scenarios/roles.yaml", *BROKEN),), ()),
    "campaign": (command("campaign", "scenarios/roles.yaml", "--seeds", "3", "-j", "2"), (), ()),
    "grade": (grading, (), ()),
    "doctor": (command("doctor", "ROOT/nodes/kvstore/node.yaml"), (), ()),
    "test": (command("test", "ROOT/nodes/kvstore/node.yaml", "--for", "1s", "-j", "2"), (), ()),
}


@pytest.fixture
def subreaper() -> Iterator[None]:
    become_subreaper()
    yield
    become_subreaper(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKS)
def test_nothing_is_left_whenever_it_ends(name, tmp_path, root, subreaper, capsys):
    make, before, after = WORKS[name]
    rng = random.Random(f"{SEED}:{name}")
    moments = MOMENTS // len(WORKS) + (list(WORKS).index(name) < MOMENTS % len(WORKS))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    failures, events = [], 0
    for number in range(moments + 1):
        with reserve(3) as reservation:
            ports = list(reservation.ports)
        folder = tmp_path / str(number)
        (folder / "project").mkdir(parents=True)
        words = make(folder / "project", root, ports)
        prepared = [[word.replace("ROOT", str(root)) for word in line] for line in before]
        work = Work(name, words, folder, prepared, after, ports, cache)
        if number == 0:
            events = count_events(work)
            assert events > 5, "the moments are drawn from what it does"
            continue
        event, signals = rng.randint(1, events), rng.choice(SIGNALS)
        wrong = end_at(work, event, signals)
        failures += [f"SIG{signals} at event {event} of {events}: {line}" for line in wrong]
        shutil.rmtree(folder, ignore_errors=True)
    with capsys.disabled():
        print(f"\nkvsim {name}: {moments} moments of {events} events, seed {SEED}")
    assert not failures, f"KVSIM_STRESS_SEED={SEED}:\n" + "\n".join(failures)
