"""A store whose power cannot be cut: the run says why and is invalid; nobody is accused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.power.test_followed import RAW

ROOT = Path(__file__).parents[3]
LEARNER = ROOT / "tests/learner"
RAW_FSYNC = (
    "#include <unistd.h>\n"
    + RAW[: RAW.index("int main")].replace("ALWAYS", "")
    + "static int raw_fsync(int fd) { return (int)raw(SYS_fsync, fd, 0, 0); }\n"
    + "#define fsync raw_fsync\n#define fdatasync raw_fsync\n"
)
PROGRAM = ("--program", "./node.yaml", "--seed", "1")
UNSEEN = "has instructions of its own that call the kernel"
GUARANTEES = "guarantees: {writes: acked_by_leader, survives: [kill, power]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "status", "text"),
    [
        ([], 0, ""),
        (["-static"], 3, "did not load the library: it is statically linked"),
        (["-D_GNU_SOURCE"], 3, UNSEEN),
        (["-D_GNU_SOURCE", "-O2"], 3, "calls the kernel to sync without the C library"),
    ],
)
def test_the_power_of_a_store(tmp_path, flags, status, text):
    build = tmp_path / "build"
    build.mkdir()
    if "-D_GNU_SOURCE" in flags:
        (tmp_path / "raw.h").write_text(RAW_FSYNC.replace("#define _GNU_SOURCE\n", ""))
        flags = [*flags, "-include", str(tmp_path / "raw.h"), "-w"]
    for name, file, more in (
        ("kvstore", LEARNER / "kvstore.c", flags),
        ("kv_client", LEARNER / "kv_client.c", []),
    ):
        done = subprocess.run(
            ["cc", "-o", build / name, file, *more], capture_output=True, text=True, timeout=180
        )
        if done.returncode:
            pytest.skip(f"it cannot be built here: {done.stderr[:200]}")
    # `linebuf` does not reach a static program.
    description = (LEARNER / "node.yaml").read_text().replace("log: linebuf", "log: pty")
    kept = [line for line in description.splitlines() if not line.startswith("guarantees:")]
    (tmp_path / "node.yaml").write_text("\n".join([*kept, GUARANTEES, ""]))
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", "run", ROOT / "scenarios/power.yaml", *PROGRAM],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert text in done.stdout + done.stderr
