"""Grade submissions from beginning to end: copies, builds, sandboxed runs, grades.

A submission can spoil its own grade only.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.config.plan import GradingPlan
from kvsim.config.variables import SEED_MAX
from kvsim.config.yaml_nodes import Fields
from kvsim.errors import RunInvalid, UsageError
from kvsim.grading.cgroups import ControlGroup, ControlGroups
from kvsim.grading.command_wrapping import wrap_commands
from kvsim.grading.known_stores import matches_in_folder, matches_in_usage
from kvsim.grading.sandbox import BUILD, Isolation, Sandbox, describe_limits
from kvsim.grading.scoring import Grade, grade_of
from kvsim.grading.workspace import copied_name, copy_plan, copy_submission, give_to
from kvsim.process.environment import DEFAULTS
from kvsim.process.exec_wrappers import die_with_parent
from kvsim.trials.pool import run_all
from kvsim.trials.trial import OnProgress, Trial, TrialResult
from kvsim.trials.trial_process import TrialWrapper

NODE_YAML = "node.yaml"
BUILD_LOG_MAX = 2000


class Grading(Struct, frozen=True):
    """What is graded, and how. `groups` may be the reason why there are no control groups."""

    plan: GradingPlan
    submissions: tuple[Path, ...]
    out: Path
    isolation: Isolation
    jobs: int
    secret: str
    hide: tuple[Path, ...] = ()
    groups: ControlGroups | str = "not requested"

    @property
    def limits(self) -> str:
        """What is limited, in one line."""
        return describe_limits(self.isolation, self.groups)

    @property
    def control_groups(self) -> ControlGroups | None:
        return self.groups if isinstance(self.groups, ControlGroups) else None

    @property
    def planned(self) -> int:
        return len(self.submissions) * sum(item.runs_total for item in self.plan.items)


class _Student(Struct):
    """One submission: its sandbox, what was found in it, its results.

    `groups`: the control group of each command that runs now.
    """

    name: str
    sandbox: Sandbox
    trouble: str = ""
    suspicions: list[str] = field(default_factory=list)
    results: dict[str, list[TrialResult]] = field(default_factory=dict)
    groups: dict[str, ControlGroup] = field(default_factory=dict)

    def enter_command(self, name: str) -> list[str]:
        """The words in front of a command that run it in the sandbox.

        Raises RunInvalid where its limits cannot be set.
        """
        try:
            group = self.sandbox.new_group(name)
        except OSError as error:
            raise RunInvalid(f"no control group could be made for {self.name}: {error}") from error
        if group:
            self.groups[name] = group
        return self.sandbox.enter_command(name, group)

    def finish(self, name: str) -> tuple[str, ...]:
        """Remove the ended command's control group; the limits that the command exceeded."""
        group = self.groups.pop(name, None)
        try:
            of_group = group.exceeded_limits() if group else ()
            return (*self.sandbox.exceeded_limits(name), *of_group)
        finally:
            if group:
                group.remove()


def grade_all(
    grading: Grading, on_progress: OnProgress = lambda made, newest: None
) -> tuple[list[Grade], bool]:
    """The grades, one for each submission, and whether every run was made.

    Ctrl-C leaves the grades so far. Raises UsageError for a folder that is in use.
    """
    _make_out(grading)
    groups = grading.control_groups
    if groups:
        groups.remove_orphans()
    with groups.guarded() if groups else contextlib.nullcontext():
        return _grade_all(grading, on_progress)


def _grade_all(grading: Grading, on_progress: OnProgress) -> tuple[list[Grade], bool]:
    students = [_prepare(grading, number, path) for number, path in enumerate(grading.submissions)]
    try:
        _build_all(grading, students)
        complete = _run_all(grading, students, on_progress)
    finally:
        for student in students:
            for name in list(student.groups):
                student.finish(name)
    return [_grade(grading.plan, student) for student in students], complete


def _run_all(grading: Grading, students: Sequence[_Student], on_progress: OnProgress) -> bool:
    by_name = {student.name: student for student in students}
    made = 0

    def student_of(trial: Trial) -> _Student:
        return by_name[trial.labels["submission"]]

    def on_result(trial: Trial, result: TrialResult) -> bool:
        nonlocal made
        made += 1
        student, name = student_of(trial), trial.labels["name"]
        kept = _as_outside(student.sandbox, name, result, student.finish(name))
        student.results[trial.labels["item"]].append(kept)
        student.suspicions += matches_in_usage(student.sandbox.usage_file_outside(name))
        on_progress(made, kept)
        return False

    return run_all(
        _trials(grading, students),
        grading.jobs,
        on_result,
        out=lambda trial: student_of(trial).sandbox.folder,
        limit_s=grading.plan.limits.time_s,
        wrapper_of=lambda trial: _wrapper(student_of(trial), trial.labels["name"]),
    )


def seed_of(secret: str, item: str, number: int) -> int:
    """A run's seed: the same for every submission, and unknown without the secret."""
    digest = hashlib.sha256(f"{secret}:{item}:{number}".encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (SEED_MAX - 1)


# --- before the runs -------------------------------------------------------------------------


def _make_out(grading: Grading) -> None:
    try:
        grading.out.mkdir(parents=True)
        grading.out.chmod(0o700)
        copy_plan(grading.plan, grading.out / "plan")
    except FileExistsError:
        raise UsageError(
            f"{grading.out} is there already; grades go into a new folder (--out)"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write into {grading.out}: {error.strerror}") from error


def _prepare(grading: Grading, number: int, source: Path) -> _Student:
    plan = grading.plan
    folder = grading.out.resolve() / source.name
    folder.mkdir(mode=0o700)
    (folder / "runs").mkdir()
    files = plan.program.get("files")
    sandbox = Sandbox(
        isolation=grading.isolation,
        folder=folder,
        number=number,
        limits=plan.limits,
        plan_outside=grading.out.resolve() / "plan",
        hidden=(plan.path, *(item.file for item in plan.items), *grading.hide),
        files=tuple(key.text for key, _ in files.entries) if isinstance(files, Fields) else (),
        groups=grading.control_groups,
    )
    student = _Student(source.name, sandbox, results={item.name: [] for item in plan.items})
    student.trouble = copy_submission(source, folder / "submission")
    text = wrap_commands(
        plan.program, sandbox.submission, sandbox.node_prefix(), sandbox.client_prefix()
    )
    (folder / NODE_YAML).write_text(text, encoding="utf-8")
    if not student.trouble and plan.known_store != "ignore":
        student.suspicions += matches_in_folder(folder / "submission")
    return student


def _build_all(grading: Grading, students: Sequence[_Student]) -> None:
    if grading.plan.build:
        with ThreadPoolExecutor(grading.jobs) as threads:
            list(threads.map(lambda student: _build(grading, student), _usable(students)))
    if grading.isolation is Isolation.USERS:
        for student in _usable(students):
            give_to(student.sandbox.folder / "submission", 0)


def _usable(students: Sequence[_Student]) -> list[_Student]:
    return [student for student in students if not student.trouble]


def _build(grading: Grading, student: _Student) -> None:
    """Run the plan's build command in the submission's folder, as the submission's own user."""
    sandbox, limit_s = student.sandbox, grading.plan.limits.build_time_s
    if sandbox.isolation is Isolation.USERS:
        give_to(sandbox.folder / "submission", sandbox.uid)
    in_folder = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', sandbox.submission]
    prefix = [*student.enter_command(BUILD), *in_folder, *sandbox.client_prefix()]
    log = sandbox.folder / "build.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            die_with_parent([*prefix, *grading.plan.build]),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            student.trouble = f"its build did not end within {limit_s:g} s"
            return
    exceeded = student.finish(BUILD)
    if status != 0:
        output = log.read_bytes()[-BUILD_LOG_MAX:].decode("utf-8", "replace").strip()
        limits = f"; {_limits_clause(exceeded)}" if exceeded else ""
        student.trouble = f"its build ended with status {status}{limits}:\n{output}"


def _limits_clause(exceeded: Sequence[str]) -> str:
    return f"limit reached: {', '.join(exceeded)}"


# --- the runs --------------------------------------------------------------------------------


def _trials(grading: Grading, students: Sequence[_Student]) -> Iterator[Trial]:
    """All submissions within each run, so that those that run at one time are different ones."""
    for item in grading.plan.items:
        for number, scenario in itertools.product(range(item.runs), item.scenarios):
            for student in _usable(students):
                yield Trial(
                    scenario=f"{student.sandbox.plan}/{item.name}/{copied_name(scenario)}",
                    seed=seed_of(grading.secret, item.name, number),
                    arguments=("--program", f"{student.sandbox.records}/{NODE_YAML}"),
                    labels={
                        "submission": student.name,
                        "item": item.name,
                        "name": f"{scenario.folder}-{number}",
                    },
                )


def _wrapper(student: _Student, name: str) -> TrialWrapper:
    return TrialWrapper(
        command=student.enter_command(name),
        env=_environment(),
        out=student.sandbox.out,
        cwd=Path("/"),
    )


def _environment() -> dict[str, str]:
    """PATH, from the grader's own environment, and where kvsim is."""
    return {
        **DEFAULTS,
        "PATH": os.environ.get("PATH", DEFAULTS["PATH"]),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _as_outside(
    sandbox: Sandbox, name: str, result: TrialResult, exceeded: Sequence[str]
) -> TrialResult:
    """The result with the run directory's path outside, and the limits that were exceeded.

    The command that repeats it inside the sandbox is of no use outside.
    """
    message = result.message.replace(result.run, "RUN") if result.run else result.message
    if exceeded:
        message = "; ".join(filter(None, (message, _limits_clause(exceeded))))
    run = sandbox.run_outside(name, result.run) if result.run else ""
    reached = tuple(exceeded)
    return replace(result, run=run, message=message, repeat_command="", limits_reached=reached)


def _grade(plan: GradingPlan, student: _Student) -> Grade:
    results = [student.results[item.name] for item in plan.items]
    sandbox = student.sandbox
    texts = f"{shlex.join(sandbox.client_prefix())} ", f"{sandbox.submission}/"
    return grade_of(plan, student.name, results, student.suspicions, student.trouble, texts)
