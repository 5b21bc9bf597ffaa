"""Grading from beginning to end: copies, builds, runs in rooms, marks. What a submission does costs itself only."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvsim.config.plan import Plan
from kvsim.config.variables import SEED_MAX
from kvsim.config.yaml_tree import Fields
from kvsim.errors import UsageError
from kvsim.grade.marks import Grade, grade_of
from kvsim.grade.room import Isolation, Room
from kvsim.grade.staging import copy_submission, owned_by, stage_plan
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

    @property
    def wanted(self) -> int:
        return len(self.submissions) * sum(item.runs for item in self.plan.items)


@dataclass
class _Student:
    """One submission on its way: its room, what was found, what came back."""

    name: str
    room: Room
    trouble: str = ""
    suspicions: list[str] = field(default_factory=list)
    results: dict[str, list[Result]] = field(default_factory=dict)


def grade_all(grading: Grading, progress: Progress = lambda made, newest: None) -> tuple[list[Grade], bool]:
    """(grades by submission, whether all was done). Ctrl-C leaves the grades so far. Raises UsageError for a folder that is in use."""
    _make_out(grading)
    students = [_prepare(grading, number, path) for number, path in enumerate(grading.submissions)]
    _build_all(grading, students)
    by_name = {student.name: student for student in students}
    made = 0

    def report(trial: Trial, result: Result) -> bool:
        nonlocal made
        made += 1
        student = by_name[trial.about["submission"]]
        kept = _from_outside(student.room, trial.about["name"], result)
        student.results[trial.about["item"]].append(kept)
        student.suspicions += in_room(student.room.seen(trial.about["name"]))
        progress(made, kept)
        return False

    whole = run_all(
        _trials(grading, students),
        grading.jobs,
        report,
        out=lambda trial: by_name[trial.about["submission"]].room.folder,
        limit_s=grading.plan.limits.time_s,
        around=lambda trial: _around(by_name[trial.about["submission"]].room, trial.about["name"]),
    )
    return [_grade(grading.plan, student) for student in students], whole


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
    room = Room(grading.isolation, folder, number, plan.limits, grading.out.resolve() / "plan", hidden, names)
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
        *room.entrance("build"),
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
    if status != 0:
        said = log.read_bytes()[-BUILD_LOG_MAX:].decode("utf-8", "replace").strip()
        student.trouble = f"its build ended with status {status}:\n{said}"


# --- the runs ---------------------------------------------------------------------------------------------------------


def _trials(grading: Grading, students: Sequence[_Student]) -> Iterator[Trial]:
    """One submission after another within each run, so that those at work at one moment are different ones."""
    for item in grading.plan.items:
        for number in range(item.runs):
            for student in (one for one in students if not one.trouble):
                place = f"{student.room.plan_inside}/{item.name}"
                yield Trial(
                    scenario=f"{place}/{item.file.name}",
                    seed=seed_of(grading.secret, item.name, number),
                    arguments=(
                        "--program",
                        f"{student.room.kept}/{NODE_YAML}",
                        "--cluster",
                        f"{place}/cluster.yaml",
                    ),
                    about={"submission": student.name, "item": item.name, "name": f"{item.name}-{number}"},
                )


def _around(room: Room, name: str) -> Around:
    return Around(wrapper=room.entrance(name), env=_environment(), out=room.out, cwd=Path("/"))


def _environment() -> dict[str, str]:
    """Nothing of the grader's own environment but where programs are, and kvsim itself."""
    home = str(Path(__file__).parents[2])
    return {
        **DEFAULTS,
        "PATH": os.environ.get("PATH", DEFAULTS["PATH"]),
        "PYTHONPATH": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _from_outside(room: Room, name: str, result: Result) -> Result:
    """The run directory as it is called outside the room. What would repeat the run inside it is of no use out here."""
    if not result.run:
        return result
    return replace(
        result, run=room.run_outside(name, result.run), why=result.why.replace(result.run, "RUN"), again=""
    )


def _grade(plan: Plan, student: _Student) -> Grade:
    results = [student.results[item.name] for item in plan.items]
    return grade_of(plan, student.name, results, student.suspicions, student.trouble)
