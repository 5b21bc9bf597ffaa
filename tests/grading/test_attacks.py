"""A submission can spoil its own grade only: beside each attacker a good one gets its points."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from kvsim.grading.cgroups import ControlGroups, find_groups

pytestmark = pytest.mark.usefixtures("sandboxed")


def nothing_left(school) -> bool:
    """No process has a folder of this grading among its mounts, and no control group is left."""
    return (
        not [pid for pid in psutil.pids() if str(school.folder) in mounts_of(pid)]
        and not left_groups()
    )


def mounts_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return ""


def left_groups() -> list[Path]:
    """Control groups of kvsims that have ended."""
    groups = find_groups()
    return groups.orphans() if isinstance(groups, ControlGroups) else []


@pytest.mark.slow
def test_a_submission_that_hangs(school):
    school.submission("good")
    school.submission("hangs", "exec sleep 1000", serves=False)
    grades = school.grades()
    assert grades["good"]["points"] == 10
    assert grades["hangs"]["points"] == 0
    assert "not ready" in str(grades["hangs"]) or "stopped early" in str(grades["hangs"])


@pytest.mark.slow
def test_a_submission_that_hangs_forever_is_ended(school):
    school.plan("scenarios: [{file: roles.yaml, points: 10}]\nlimits: {time: 1500ms}")
    school.submission("hangs", "trap '' TERM INT; while :; do sleep 1; done", serves=False)
    run = school.grades()["hangs"]["scenarios"][0]["runs"][0]
    assert run["ending"] == "overtime"
    assert nothing_left(school)


@pytest.mark.slow
@pytest.mark.usefixtures("own_users")
def test_a_submission_that_forks_endlessly(school):
    school.plan("scenarios: [{file: roles.yaml, points: 10}]\nlimits: {processes: 40}")
    school.submission("good")
    school.submission("forks", "bomb() { bomb | bomb & }; bomb; sleep 30", serves=False)
    grades = school.grades("-j", 2)
    assert grades["good"]["points"] == 10
    assert grades["forks"]["points"] == 0
    assert nothing_left(school)


@pytest.mark.slow
def test_a_submission_that_fills_the_disk(school):
    school.plan("scenarios: [{file: roles.yaml, points: 10}]\nlimits: {disk: 20MB}")
    school.submission("good")
    fill = (
        "for n in 1 2 3 4 5; do for d in . /tmp /var/tmp /dev/shm; do "
        "head -c 15000000 /dev/zero >$d/$n 2>/dev/null; done; done"
    )
    school.submission("fills", fill)
    free = os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_frsize
    grades = school.grades("-j", 2)
    assert grades["good"]["points"] == 10
    left = sum(
        path.stat().st_size
        for path in (school.folder / "out" / "fills").rglob("*")
        if path.is_file()
    )
    assert left < 20_000_000
    assert free - os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_frsize < 200_000_000


ATTACK = """
try() { if sh -c "$1" >/dev/null 2>&1; then echo "DID $1"; else echo "could not $1"; fi; }
try 'ls /tmp/grade/records'
try 'ls /tmp/grade/plan'
try 'ls /tmp/grade/out'
try 'cat ../../../scenario.yaml'
try 'cat ../../../meta.json'
try 'echo x >>../../../history.jsonl'
try 'ls SUBS/good'
try 'grep . PLAN'
try 'grep . SCENARIO'
try 'touch /tmp/grade/submission/run'
try 'touch /usr/x'
try 'touch SUBS/x'
try 'grep -qa "se[e]d" /proc/*/cmdline'
try 'cat /proc/2/environ'
try 'mount -t tmpfs none /mnt'
try 'umount /tmp/grade/out'
try 'CONNECT'
kill -9 -1 2>/dev/null
"""


@pytest.mark.slow
@pytest.mark.usefixtures("own_users")
def test_a_submission_that_attacks_files_and_searches_for_seeds(school):
    school.submission("good")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f'import socket; socket.create_connection((\\"127.0.0.1\\", {port}), 1)'
        attack = ATTACK.replace("CONNECT", f'{school.python} -c "{connect}"')
        for word, path in (("SUBS", "subs"), ("PLAN", "plan.yaml"), ("SCENARIO", "roles.yaml")):
            attack = attack.replace(word, str(school.folder / path))
        bad = school.submission("bad", attack.replace("kill -9 -1", ":"))
        school.submission("kills", "kill -9 -1")
        grades = school.grades("-j", 2)
    assert grades["good"]["points"] == 10
    log = school.logs("bad")
    assert log.count("could not") >= 17, log
    assert "DID" not in log
    assert (bad / "run").exists()
    assert nothing_left(school)


@pytest.mark.slow
@pytest.mark.usefixtures("own_users")
def test_a_build_has_the_same_sandbox_and_a_time_limit(school):
    school.plan(
        "build: [sh, build.sh]\nscenarios: [{file: roles.yaml, points: 10}]\n"
        "limits: {build_time: 2s}"
    )
    (school.submission("good") / "build.sh").write_text(
        "touch built; test -w /etc && exit 9; exit 0"
    )
    (school.submission("slow") / "build.sh").write_text("sleep 100")
    (school.submission("fails") / "build.sh").write_text("echo syntax error in line 4; exit 2")
    grades = school.grades()
    assert {name: grade["points"] for name, grade in grades.items()} == {
        "good": 10,
        "slow": 0,
        "fails": 0,
    }
    assert "did not end within 2 s" in grades["slow"]["trouble"]
    assert "syntax error in line 4" in grades["fails"]["trouble"]
    assert not (school.folder / "subs/good/built").exists()
    assert nothing_left(school)


@pytest.mark.slow
def test_links_and_pipes_in_a_submission_are_harmless(school, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    secret.chmod(0o600)
    folder = school.submission("odd")
    (folder / "link").symlink_to(secret)
    (folder / "up").symlink_to("../..")
    os.mkfifo(folder / "pipe")
    assert school.grades()["odd"]["points"] == 10
    assert Path(secret).stat().st_uid == os.getuid() and secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_build_that_fills_the_disk_is_ended(school):
    school.plan(
        "build: [sh, build.sh]\nscenarios: [{file: roles.yaml, points: 10}]\nlimits: {disk: 20MB}"
    )
    (school.submission("good") / "build.sh").write_text("touch built")
    fill = "trap '' TERM; for n in $(seq 500); do head -c 10000000 /dev/zero >$n; done"
    (school.submission("fills") / "build.sh").write_text(fill)
    grades = school.grades("-j", 2)
    assert grades["good"]["points"] == 10
    assert "limit reached: disk" in grades["fills"]["trouble"]
    left = [
        path.stat().st_size for path in (school.folder / "out/fills").rglob("*") if path.is_file()
    ]
    assert sum(left) < 2_000_000_000
