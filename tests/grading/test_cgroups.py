"""Control groups: where they can be made (pure), and what real ones limit, where there are any."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from kvsim.config.plan import ResourceLimits
from kvsim.folders import find_paths
from kvsim.grading.cgroups import ControlGroups, find_groups, number_in, own_folders
from kvsim.grading.sandbox import Isolation, describe_limits
from kvsim.waiting import Deadline, wait_until

FIRST = """\
30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("mounts", "own", "expected"),
    [
        (
            FIRST,
            "4:memory:/user/1\n3:cpu,cpuacct:/\n2:pids:/docker/abc/x\n0::/\n",
            {
                "memory": "/sys/fs/cgroup/memory/user/1",
                "cpu": "/sys/fs/cgroup/cpu,cpuacct",
                "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
                "pids": "/sys/fs/cgroup/pids/x",
                "": "/sys/fs/cgroup/unified",
            },
        ),
        (
            "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate",
            "0::/user.slice/user-1000.slice/a:b.scope\n",
            {"": "/sys/fs/cgroup/user.slice/user-1000.slice/a:b.scope"},
        ),
        ("29 23 0:26 / / rw - ext4 /dev/vda rw", "0::/\n", {}),
    ],
)
def test_own_groups_are_found_below_whole_and_partial_mounts(mounts, own, expected):
    found = own_folders(mounts, own)
    assert {name: str(path) for name, path in found.items()} == expected


def test_numbers_are_read_from_both_kinds_of_files():
    assert number_in("12345\n", "") == 12345
    assert number_in("low 0\noom 3\noom_kill 2\n", "oom_kill") == 2
    assert number_in("max 0\n", "oom_kill") == 0


def test_a_system_without_groups_gives_the_reason(tmp_path):
    (tmp_path / "mountinfo").write_text("29 23 0:26 / / rw - ext4 /dev/vda rw\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    reason = find_groups(tmp_path)
    assert reason == "this system has no controller memory, pids, cpu, cpuacct"
    assert reason in describe_limits(Isolation.USERS, reason)


@pytest.fixture
def groups(own_users) -> ControlGroups:
    found = find_groups()
    if isinstance(found, str):
        pytest.skip(f"no control groups: {found}")
    return found


def test_removing_a_group_ends_its_processes(groups):
    group = groups.make("test", ResourceLimits())
    words = 'for g in "$@"; do echo 0 >$g/cgroup.procs; done; sleep 100 & sleep 100'
    process = subprocess.Popen(
        ["/bin/sh", "-c", words, "sh", *map(str, set(group.folders.values()))]
    )
    try:
        members = group.folders["pids"] / "cgroup.procs"
        wait_until(
            lambda: len(members.read_text().split()) >= 2, Deadline.after(180), "both to be in it"
        )
    finally:
        group.remove()
    assert process.wait(180) == -signal.SIGKILL
    assert not any(folder.exists() for folder in group.folders.values())


EATS = """exec PYTHON -I -S -c '
import os, subprocess, sys
words = [sys.executable, "-I", "-S", "-c", "x = bytearray(60 << 20); input()"]
held = [subprocess.Popen(words, stdin=subprocess.PIPE) for _ in range(4)]
os.wait()  # until one of them is ended; the others end with their input
'
"""
BURNS = "for n in 1 2 3 4; do (while :; do :; done) & done; wait"
BOMB = "bomb() { bomb | bomb & }; bomb; sleep 3"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "command", "limit"),
    [
        ("memory: 100MB, disk: 20MB", EATS, "memory of all processes together"),
        ("cpu: 2", BURNS, "CPU time of all processes together"),
        ("processes: 40", BOMB, "number of processes"),
    ],
)
def test_limits_hold_for_all_processes_together_and_are_reported(
    school, groups, limits, command, limit
):
    school.plan(f"scenarios: [{{file: roles.yaml, points: 10}}]\nlimits: {{{limits}}}")
    node = school.folder / "node.yaml"
    # Enough for any slow machine.
    node.write_text(node.read_text().replace("within: 4s", "within: 30s"))
    school.submission("good")
    school.submission("greedy", command.replace("PYTHON", str(school.python)), serves=False)
    grades = school.grades("-j", 2)
    assert grades["good"]["points"] == 10
    assert "limit reached" not in json.dumps(grades["good"])
    message = grades["greedy"]["scenarios"][0]["runs"][0]["message"]
    assert f"limit reached: {limit}" in message
    assert limit in (school.folder / "out/greedy/results.json").read_text()
    assert (
        "control groups, version"
        in json.loads((school.folder / "out/grades.json").read_text())["limits"]
    )


@pytest.mark.slow
def test_groups_of_a_killed_grading_are_removed_by_the_next(school, groups):
    school.submission("hangs", "exec sleep 1000", serves=False)
    process = subprocess.Popen(school.words(), cwd=school.folder, stderr=subprocess.DEVNULL)

    def made() -> list[Path]:
        return find_paths(groups.parents["pids"], f"*-{process.pid}-*")

    def busy() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return any((path / "cgroup.procs").read_text().split() for path in made())
        return False

    wait_until(busy, Deadline.after(180), "a node in its group")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert made()
    groups.remove_orphans()
    assert not made()
