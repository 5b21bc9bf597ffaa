"""A trial as a process: `kvsim run` in its own session, output to files, with a time limit.

It dies with the *thread* that started it (the kernel's rule for parent death signals), so the
caller waits in that thread. The trial's nodes die with it, through their own watchdog. Afterwards
its exit status, output and proof become a TrialResult.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.deviation import first_deviation
from kvsim.errors import Exit
from kvsim.process.exec_wrappers import die_with_parent
from kvsim.run_directory import RunDirectory
from kvsim.trials.trial import Ending, Trial, TrialResult

VERDICTS = {Exit.PASS, Exit.FAIL, Exit.UNKNOWN, Exit.INVALID}
MESSAGE_MAX = 2000
SYMPTOM_MAX = 300
# What differs from run to run without being another failure, and what replaces it.
RUN_SPECIFIC = [
    (re.compile(r"\b[kvw]-[0-9a-f]{6,}\b"), "…"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}:\d+\b"), "ADDRESS"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{12,}\b"), "…"),
    (re.compile(r"\b\d+(?:\.\d+)?(?= ?(?:ms|s)\b)"), "#"),
    (re.compile(r"\b\d{4,}\b"), "#"),
]
# A run ends in order: it stops its nodes one grace period after another.
GRACE_S = 20.0
# How long to sleep when nothing but the process's end is awaited.
NO_DEADLINE_S = 3600.0
OUTPUT_BYTES_MAX = 64 << 20
# Those that say where its modules are.
PYTHON_VARIABLES = frozenset(
    ["PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"]
)


def result_of(status: int | None, output: str, errors: str, took_s: float) -> TrialResult:
    """The result of a trial that ended by itself with exit `status` (None: by a signal)."""
    proof = _last_json(output)
    if proof is None or status not in VERDICTS:
        return _result_without_proof(status, errors, took_s)
    failed_at, message = first_deviation(proof)
    steps = [step["result"] for step in proof["steps"]]
    failed_checks = [
        check for check in proof["checks"] if check["verdict"] not in {"pass", "not exercised"}
    ]
    return TrialResult(
        ending=Ending(proof["verdict"]),
        took_s=took_s,
        exit=status,
        failed_at=failed_at,
        symptom=symptom_of(message),
        message=message[:MESSAGE_MAX],
        run=proof["run_directory"],
        digest=_history_digest(Path(proof["run_directory"])),
        repeat_command=proof["repeat_command"],
        steps_passed=steps.count("pass"),
        steps_total=len(steps) + len(failed_checks),
        checks={check["name"]: check["verdict"] for check in proof["checks"]},
        time_limits=_time_limits(proof.get("time_limits")),
    )


def proof_of(result: TrialResult) -> dict[str, Any] | None:
    """The proof.json of a trial's run directory; None when the trial left none."""
    return _read_proof(Path(result.run)) if result.run else None


def _read_proof(run: Path) -> dict[str, Any] | None:
    try:
        proof = json.loads(RunDirectory(run).proof_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return proof if isinstance(proof, dict) else None


def symptom_of(message: str) -> str:
    """The first line of a message, without keys, ports and times that differ from run to run."""
    line = (message.splitlines() or [""])[0]
    for pattern, replacement in RUN_SPECIFIC:
        line = pattern.sub(replacement, line)
    return line[:SYMPTOM_MAX]


def _time_limits(reported: Mapping[str, Any] | None) -> dict[str, Any]:
    """How kvsim set its own time limits, and the limit that came closest outside of faults."""
    if not reported:
        return {}
    closest = next((usage for usage in reported["used"] if not usage["during_fault"]), None)
    factor = reported["default_factor"]
    return {"how": reported["how"], "default_factor": factor, "closest": closest}


def _last_json(output: str) -> dict[str, Any] | None:
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "run_directory" in found else None


def _result_without_proof(status: int | None, errors: str, took_s: float) -> TrialResult:
    skipped = next((line for line in errors.splitlines() if line.startswith("skipped ")), "")
    if skipped and status == Exit.INVALID:
        reason = skipped.partition(": ")[2]
        return TrialResult(Ending.SKIPPED, took_s, status, "the scenario", reason, skipped)
    last = (errors.strip().splitlines() or ["it printed nothing"])[-1]
    ended = "ended by a signal" if status is None else f"exit status {status}"
    return TrialResult(
        Ending.ERROR,
        took_s,
        status,
        failed_at="kvsim itself",
        symptom=f"{ended}: {symptom_of(last)}",
        message=errors[-MESSAGE_MAX:],
    )


def _history_digest(run: Path) -> str:
    """The SHA-256 of the history, as the run's proof.json states it; empty without one."""
    files = (_read_proof(run) or {}).get("files", {})
    return str(files.get(RunDirectory(run).journal.name, {}).get("sha256", ""))


def argv_of(trial: Trial, out: Path) -> list[str]:
    """The command line of a trial that makes its run directory in `out`.

    No module of the working directory hides one of the standard library.
    """
    run = [sys.executable, "-P", "-m", "kvsim", "run", trial.scenario, "--json", "--out", str(out)]
    return [*run, "--seed", str(trial.seed), *trial.arguments]


class TrialWrapper(Struct, frozen=True):
    """What a trial's process runs in.

    `command` is prepended to its command line (`unshare …`, `prlimit …`). `env` None: kvsim's own
    environment. `out`: the path of its `out` folder inside the wrapper, where it differs.
    """

    command: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    out: Path | None = None


UNWRAPPED = TrialWrapper()


class RunningTrial:
    """A trial that runs; call `poll` from time to time.

    Its output is in temporary files in `out`, which must exist, until it has ended.
    """

    def __init__(
        self, trial: Trial, out: Path, limit_s: float, wrapper: TrialWrapper = UNWRAPPED
    ) -> None:
        self.trial = trial
        self.limit_s = limit_s
        self.overtime = self.interrupted = False
        self.result: TrialResult | None = None
        # Files without a name: they end with kvsim, however it ends.
        self._output = tempfile.TemporaryFile(dir=out)  # noqa: SIM115
        self._errors = tempfile.TemporaryFile(dir=out)  # noqa: SIM115
        self._started = time.monotonic()
        argv = [*wrapper.command, *argv_of(trial, wrapper.out or out)]
        self._process = self._start(argv, wrapper)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._deadline: float | None = self._started + limit_s

    def _start(self, argv: list[str], wrapper: TrialWrapper) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            die_with_parent(argv),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
            cwd=wrapper.cwd,
            env=_own_environment() if wrapper.env is None else wrapper.env,
            start_new_session=True,
        )

    def fileno(self) -> int:
        """A file descriptor that becomes readable when the process ends."""
        return self._pidfd

    def due_in_s(self) -> float:
        """Seconds until `poll` has to be called even if it has not ended."""
        if self._deadline is None:
            return NO_DEADLINE_S
        return max(0.0, self._deadline - time.monotonic())

    def wait(self) -> TrialResult:
        """Wait until it has ended."""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        while (result := self.poll()) is None:
            poller.poll(1000 * self.due_in_s() + 1)
        return result

    def poll(self) -> TrialResult | None:
        """The result, or None while it runs.

        At its time limit it gets a SIGINT; when it does not end, it is killed.
        """
        if self.result is None and self._process.poll() is not None:
            self.result = self._collect()
        elif self.result is None and self.due_in_s() == 0.0:
            self._end_overtime()
        return self.result

    def interrupt(self) -> None:
        """Send it a SIGINT, so that it ends in order; it is killed when that takes too long."""
        if not (self.interrupted or self.overtime):
            self.interrupted = True
            self._ask_to_end()

    def kill(self) -> None:
        """End it now. Its nodes die with it."""
        self.interrupted = True
        self._kill()

    def close(self) -> None:
        """End it if it still runs, and close its temporary files."""
        if self.result is None:
            self._kill()
            self._process.wait()
            self.result = self._collect()

    def _end_overtime(self) -> None:
        if self.overtime or self.interrupted:
            self._kill()
        else:
            self.overtime = True
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        self._signal(signal.SIGINT)
        self._deadline = time.monotonic() + GRACE_S

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._deadline = None

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _collect(self) -> TrialResult:
        took_s = round(time.monotonic() - self._started, 3)
        returncode = self._process.returncode
        status = None if returncode < 0 else returncode
        result = result_of(status, _text(self._output), _text(self._errors), took_s)
        os.close(self._pidfd)
        self._output.close()
        self._errors.close()
        if self.overtime:
            message = f"did not end within {self.limit_s:g} s"
            return replace(
                result,
                ending=Ending.OVERTIME,
                symptom=message,
                message=message,
                failed_at=result.failed_at or "the time limit",
            )
        return replace(result, ending=Ending.INTERRUPTED) if self.interrupted else result


def _own_environment() -> dict[str, str]:
    """kvsim's environment without the variables that change how Python runs.

    PYTHONINSPECT, for example, takes the exit status away.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in PYTHON_VARIABLES or not name.startswith("PYTHON")
    }


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(OUTPUT_BYTES_MAX).decode("utf-8", "replace")


def run_trial(
    trial: Trial, out: Path, limit_s: float, wrapper: TrialWrapper = UNWRAPPED
) -> TrialResult:
    """Make one trial and wait for it in this thread."""
    running = RunningTrial(trial, out, limit_s, wrapper)
    try:
        return running.wait()
    finally:
        running.close()
