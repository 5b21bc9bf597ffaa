"""Read bugs.yaml: the planted bugs, the scenario that shows each, and the check that catches it.

Runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.checks.registry import CHECKS
from kvsim.checks.verdict import Verdict
from kvsim.checks.workload_checks import NAMES as WORKLOAD_CHECKS
from kvsim.config.program_loader import find_program
from kvsim.config.schema import Choice, Field, MapOf, Pattern, Record, Text, Validation, Values
from kvsim.config.yaml_nodes import SourceLocation, read_file
from kvsim.errors import FileProblems, Problem, UsageError
from kvsim.folders import find_paths
from kvsim.text import did_you_mean

NAME = r"[a-z][a-z0-9_]*"
SCENARIO_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
PATH = Text("a path relative to this file", empty=False)
# A finding that is a warning: the verdict of its check is a pass.
WARNING = "warning"
CAUGHT_VERDICTS = {
    str(verdict): f"the verdict of the check is {verdict}"
    for verdict in Verdict
    if verdict is not Verdict.PASS
} | {WARNING: "the check passes, with a warning"}
CHECK = Choice((*CHECKS, *sorted(WORKLOAD_CHECKS)))
BUG = Record(
    "bug",
    {
        "description": Field(Text("a sentence"), "what the bug does", required=True),
        "scenario": Field(
            Text(
                "a name, or a folder and a name", pattern=rf"(?:{SCENARIO_NAME}/)?{SCENARIO_NAME}"
            ),
            "the scenario that shows it, in the folder `scenarios`",
            required=True,
        ),
        "check": Field(CHECK, "the check that must catch it", required=True),
        "verdict": Field(
            Choice(CAUGHT_VERDICTS),
            "the verdict that this check must give",
            default="fail",
            default_text="fail",
        ),
        "finding": Field(
            Pattern(),
            "a pattern that a finding of the check, `step: message`, must match, so that the check "
            "does not catch the bug by accident",
            default="",
        ),
        "cluster": Field(
            PATH, "run the scenario on this cluster file", default_text="the scenario's own"
        ),
        "program": Field(
            PATH, "the node.yaml that plants it", default_text="the `program` of this file"
        ),
        "storms": Field(
            MapOf(CHECK, key=SCENARIO_NAME, key_expected="a scenario in `scenarios`/storms"),
            "storms that show it too → the check that must catch it there",
            default={},
        ),
        "options": Field(
            MapOf(Text("a text"), key=NAME, key_expected="an option"),
            "further options",
            default={},
        ),
    },
)
BUGS_FILE = Record(
    "file of planted bugs",
    {
        "program": Field(PATH, "the node.yaml whose option `bug` plants a bug", required=True),
        "correct": Field(PATH, "the folder of the correct store", required=True),
        "scenarios": Field(PATH, "the folder of scenarios", required=True),
        "bugs": Field(
            MapOf(
                BUG, key=NAME, key_expected="a bug (lower-case letters, digits, _)", length_min=1
            ),
            "bug → …",
            required=True,
        ),
    },
)


class Bug(Struct, frozen=True):
    """One planted bug. `check` must give `verdict` when it runs `scenario`.

    `finding`: a pattern that one of the check's findings, `step: message`, must match. `storms`:
    the same bug in each storm that shows it too. `locations`: where each option, and the bug
    itself (`bug`), is written.
    """

    name: str
    description: str
    scenario: Path
    check: str
    verdict: str
    program: Path
    finding: str = ""
    cluster: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    storms: tuple[Bug, ...] = ()
    locations: Mapping[str, SourceLocation] = field(default_factory=dict)

    @property
    def planted(self) -> Mapping[str, str]:
        """The options that plant it."""
        return {"bug": self.name, **self.options}


class BugsFile(Struct, frozen=True):
    """All bugs, and the folders of the correct store and of its scenarios."""

    path: Path
    correct: Path
    scenarios: Path
    bugs: tuple[Bug, ...]

    def select(self, names: Sequence[str]) -> tuple[Bug, ...]:
        """The bugs with these names; all when none is given. Raises UsageError."""
        known = {bug.name: bug for bug in self.bugs}
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise UsageError(f"there is no planted bug `{name}`{hint}; see {self.path}")
        return tuple(known[name] for name in names) or self.bugs


def find_bugs_file(start: Path) -> Path:
    """bugs.yaml of the program `broken`: in nodes/ of this folder or one above, else kvsim's own.

    Raises UsageError when there is none.
    """
    program = find_program("broken", start)
    path = program and program.parent / "bugs.yaml"
    if path is None or not path.is_file():
        raise UsageError(
            f"the program `broken` that is found from {start} has no bugs.yaml beside it; name a "
            "file with --bugs-file"
        )
    return path


def load_bugs(path: Path) -> BugsFile:
    """Read a file of planted bugs. Raises FileProblems with all mistakes."""
    problems: list[Problem] = []
    tree = read_file(path, problems)
    validation = Validation(problems)
    values = None if tree is None else BUGS_FILE.read(tree, validation)
    if problems or values is None:
        raise FileProblems(problems)
    folder = path.resolve().parent
    program, scenarios = folder / values["program"], folder / values["scenarios"]
    rows: Mapping[str, Values] = values["bugs"]
    bugs = tuple(_bug(name, row, folder, program, scenarios) for name, row in rows.items())
    for bug in bugs:
        _check_files(bug, validation)
    if problems:
        raise FileProblems(problems)
    return BugsFile(path, (folder / values["correct"]).resolve(), scenarios.resolve(), bugs)


def _check_files(bug: Bug, validation: Validation) -> None:
    scenarios = (bug.scenario, *(storm.scenario for storm in bug.storms))
    for file in (*scenarios, bug.program, bug.cluster):
        if file is not None and not file.is_file():
            hint = did_you_mean(
                file.stem, (path.stem for path in find_paths(file.parent, "*.yaml"))
            )
            message = f"bugs.{bug.name}: there is no file {relative(file)}{hint}"
            validation.report(bug.locations["bug"], message)


def _bug(name: str, row: Values, folder: Path, program: Path, scenarios: Path) -> Bug:
    bug = Bug(
        name=name,
        description=row["description"],
        scenario=relative(scenarios / f"{row['scenario']}.yaml"),
        check=row["check"],
        verdict=row["verdict"],
        program=relative(folder / row["program"]) if row.get("program") else relative(program),
        finding=row["finding"],
        cluster=relative(folder / row["cluster"]) if row.get("cluster") else None,
        options=row["options"],
        locations={
            "bug": row.node.location,
            **{key.text: key.location for key in row.keys_in("options")},
        },
    )
    storms = (
        replace(
            bug,
            scenario=relative(scenarios / "storms" / f"{storm}.yaml"),
            check=check,
            verdict=str(Verdict.FAIL),
            finding="",
            cluster=None,
        )
        for storm, check in row["storms"].items()
    )
    return replace(bug, storms=tuple(storms))


def relative(path: Path) -> Path:
    """The path relative to the current folder, if it is below it."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
