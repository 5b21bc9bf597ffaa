"""Grading from beginning to end: copies, builds, runs in rooms, marks. What a submission does costs itself only."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvsim.config.plan import Plan
from kvsim.config.variables import SEED_MAX
from kvsim.config.yaml_tree import Fields
from kvsim.errors import RunInvalid, UsageError
from kvsim.grade.groups import Group, Groups
from kvsim.grade.marks import Grade, grade_of
from kvsim.grade.room import BUILD, Isolation, Room, limits_in_force
from kvsim.grade.staging import copy_submission, owned_by, stage_plan, staged_name
from kvsim.grade.suspects import in_folder, in_room
from kvsim.grade.wrapping import wrapped
from kvsim.process.environment import DEFAULTS
from kvsim.process.wrap import die_with_parent
from kvsim.trials.pool import run_all
from kvsim.trials.running import Around
from kvsim.trials.trial import Result, Trial

NODE_YAML = "node.yaml"
BUILD_LOG_MAX = 2000
SPARE_S = 30.0  # a build's room may take so much longer than the build

Progress = Callable[[int, Result], None]


@dataclass(frozen=True)
class Grading:
    """What is graded, and how."""

    plan: Plan
    submissions: tuple[Path, ...]
    out: Path
    isolation: Isolation
    jobs: int
    secret: str
    hide: tuple[Path, ...] = ()
    groups: Groups | str = "not looked for"  # or why there are none

    @property
    def limits(self) -> str:
        """What is limited, and over what, in one line."""
        return limits_in_force(self.isolation, self.groups)

    @property
    def groups_in_use(self) -> Groups | None:
        return self.groups if isinstance(self.groups, Groups) else None

    @property
    def wanted(self) -> int:
        return len(self.submissions) * sum(item.wanted for item in self.plan.items)


@dataclass
class _Student:
    """One submission on its way: its room, what was found, what came back."""

    name: str
    room: Room
    trouble: str = ""
    suspicions: list[str] = field(default_factory=list)
    results: dict[str, list[Result]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)  # of the commands that run now

    def enter(self, name: str) -> list[str]:
        """The words before a command that is to run in the room. Raises RunInvalid where its limits cannot be set."""
        try:
            group = self.room.new_group(name)
        except OSError as error:
            raise RunInvalid(f"no control group could be made for {self.name}: {error}") from error
        if group:
            self.groups[name] = group
        return self.room.entrance(name, group)

    def leave(self, name: str) -> tuple[str, ...]:
        """Once that command is over: the limits that it reached."""
        group = self.groups.pop(name, None)
        try:
            return (*self.room.reached(name), *(group.reached() if group else ()))
        finally:
            if group:
                group.remove()


def grade_all(grading: Grading, progress: Progress = lambda made, newest: None) -> tuple[list[Grade], bool]:
    """(grades by submission, whether all was done). Ctrl-C leaves the grades so far. Raises UsageError for a folder that is in use."""
    _make_out(grading)
    if grading.groups_in_use:
        grading.groups_in_use.sweep()
    students = [_prepare(grading, number, path) for number, path in enumerate(grading.submissions)]
    try:
        _build_all(grading, students)
        whole = _run_all(grading, students, progress)
    finally:
        for student in students:
            for name in list(student.groups):
                student.leave(name)
    return [_grade(grading.plan, student) for student in students], whole


def _run_all(grading: Grading, students: Sequence[_Student], progress: Progress) -> bool:
    by_name = {student.name: student for student in students}
    made = 0

    def report(trial: Trial, result: Result) -> bool:
        nonlocal made
        made += 1
        student, name = by_name[trial.about["submission"]], trial.about["name"]
        kept = _from_outside(student.room, name, result, student.leave(name))
        student.results[trial.about["item"]].append(kept)
        student.suspicions += in_room(student.room.seen(name))
        progress(made, kept)
        return False

    return run_all(
        _trials(grading, students),
        grading.jobs,
        report,
        out=lambda trial: by_name[trial.about["submission"]].room.folder,
        limit_s=grading.plan.limits.time_s,
        around=lambda trial: _around(by_name[trial.about["submission"]], trial.about["name"]),
    )


def seed_of(secret: str, item: str, number: int) -> int:
    """The same for every submission, and known to nobody without the secret."""
    digest = hashlib.sha256(f"{secret}:{item}:{number}".encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (SEED_MAX - 1)


# --- before the runs --------------------------------------------------------------------------------------------------


def _make_out(grading: Grading) -> None:
    try:
        grading.out.mkdir(parents=True)
        grading.out.chmod(0o700)
        stage_plan(grading.plan, grading.out / "plan")
    except FileExistsError:
        raise UsageError(f"{grading.out} is there already; grades go into a new folder (--out)") from None
    except OSError as error:
        raise UsageError(f"cannot write into {grading.out}: {error.strerror}") from error


def _prepare(grading: Grading, number: int, source: Path) -> _Student:
    plan = grading.plan
    folder = grading.out.resolve() / source.name
    folder.mkdir(mode=0o700)
    (folder / "runs").mkdir()
    files = plan.program.get("files")
    names = tuple(key.text for key, _ in files.entries) if isinstance(files, Fields) else ()
    hidden = (plan.path, *(item.file for item in plan.items), *grading.hide)
    room = Room(
        grading.isolation,
        folder,
        number,
        plan.limits,
        grading.out.resolve() / "plan",
        hidden,
        names,
        grading.groups_in_use,
    )
    student = _Student(source.name, room, results={item.name: [] for item in plan.items})
    student.trouble = copy_submission(source, folder / "submission")
    text = wrapped(plan.program, room.submission, room.before_node(), room.before_client())
    (folder / NODE_YAML).write_text(text, encoding="utf-8")
    if not student.trouble and plan.inside != "ignore":
        student.suspicions += in_folder(folder / "submission")
    return student


def _build_all(grading: Grading, students: Sequence[_Student]) -> None:
    if grading.plan.build:
        with ThreadPoolExecutor(grading.jobs) as threads:
            list(threads.map(lambda one: _build(grading, one), [one for one in students if not one.trouble]))
    if grading.isolation is Isolation.USERS:
        for student in students:
            if not student.trouble:
                owned_by(student.room.folder / "submission", 0)


def _build(grading: Grading, student: _Student) -> None:
    """Run the plan's build command in the submission's folder, which belongs to the submission's own user meanwhile."""
    room, limit_s = student.room, grading.plan.limits.build_time_s
    if room.isolation is Isolation.USERS:
        owned_by(room.folder / "submission", room.uid)
    words = [
        *student.enter(BUILD),
        "/bin/sh",
        "-c",
        'cd "$0" && exec "$@"',
        room.submission,
        *room.before_client(),
    ]
    log = room.folder / "build.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            die_with_parent([*words, *grading.plan.build]),
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
    reached = student.leave(BUILD)
    if status != 0:
        said = log.read_bytes()[-BUILD_LOG_MAX:].decode("utf-8", "replace").strip()
        limits = f"; limit reached: {', '.join(reached)}" if reached else ""
        student.trouble = f"its build ended with status {status}{limits}:\n{said}"


# --- the runs ---------------------------------------------------------------------------------------------------------


def _trials(grading: Grading, students: Sequence[_Student]) -> Iterator[Trial]:
    """One submission after another within each run, so that those at work at one moment are different ones."""
    for item in grading.plan.items:
        for number, scenario in itertools.product(range(item.runs), item.scenarios):
            for student in (one for one in students if not one.trouble):
                yield Trial(
                    scenario=f"{student.room.plan_inside}/{item.name}/{staged_name(scenario)}",
                    seed=seed_of(grading.secret, item.name, number),
                    arguments=("--program", f"{student.room.kept}/{NODE_YAML}"),
                    about={
                        "submission": student.name,
                        "item": item.name,
                        "name": f"{scenario.folder}-{number}",
                    },
                )


def _around(student: _Student, name: str) -> Around:
    return Around(wrapper=student.enter(name), env=_environment(), out=student.room.out, cwd=Path("/"))


def _environment() -> dict[str, str]:
    """Nothing of the grader's own environment but where programs are, and kvsim itself."""
    home = str(Path(__file__).parents[2])
    return {
        **DEFAULTS,
        "PATH": os.environ.get("PATH", DEFAULTS["PATH"]),
        "PYTHONPATH": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _from_outside(room: Room, name: str, result: Result, reached: Sequence[str]) -> Result:
    """The run directory as it is called outside the room, and the limits that were reached. Repeating it inside is of no use out here."""
    why = result.why.replace(result.run, "RUN") if result.run else result.why
    if reached:
        why = f"{why}; limit reached: {', '.join(reached)}".lstrip("; ")
    run = room.run_outside(name, result.run) if result.run else ""
    return replace(result, run=run, why=why, again="")


def _grade(plan: Plan, student: _Student) -> Grade:
    results = [student.results[item.name] for item in plan.items]
    return grade_of(plan, student.name, results, student.suspicions, student.trouble)
