"""Read bugs.yaml: the planted bugs, the scenario that shows each, and the check that must catch it. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kvsim.checks.promised import NAMES as OF_LOADS
from kvsim.checks.table import CHECKS
from kvsim.checks.verdict import Verdict
from kvsim.config.program_file import find_program
from kvsim.config.shape import Field, MapOf, Pattern, Reading, Record, Text, Values, Word
from kvsim.config.spelling import did_you_mean
from kvsim.config.yaml_tree import Fields, Mark, read_file
from kvsim.errors import FileProblems, Problem, UsageError

WORD = r"[a-z][a-z0-9_]*"
PATH = Text("a path, as seen from this file")
NAME = Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*")
BAD = {str(verdict): f"the check answers {verdict}" for verdict in Verdict if verdict is not Verdict.PASS}

CHECK = Word((*CHECKS, *sorted(OF_LOADS)))
BUG = Record(
    "bug",
    {
        "says": Field(Text("a sentence"), "what the bug does", required=True),
        "scenario": Field(NAME, "the scenario that shows it, in the folder `scenarios`", required=True),
        "check": Field(CHECK, "the check that must catch it", required=True),
        "verdict": Field(Word(BAD), "what that check must answer", default="fail", shows="fail"),
        "finding": Field(
            Pattern(),
            "what the check must say, `step: message`; so that it is not caught by accident",
            default="",
        ),
        "cluster": Field(PATH, "play the scenario on this cluster file", shows="the scenario's own"),
        "program": Field(PATH, "the node.yaml that plants it", shows="the table's `program`"),
        "storms": Field(
            MapOf(CHECK, key=r"[A-Za-z0-9][A-Za-z0-9_.-]*", key_means="a scenario in `scenarios`/storms"),
            "storms that show it too → the check that must catch it there",
            default={},
        ),
        "options": Field(
            MapOf(Text("a text"), key=WORD, key_means="an option"), "further options", default={}
        ),
    },
)
TABLE = Record(
    "table of planted bugs",
    {
        "program": Field(PATH, "the node.yaml whose option `bug` plants one", required=True),
        "correct": Field(PATH, "the folder of the correct store", required=True),
        "scenarios": Field(PATH, "the folder of scenarios", required=True),
        "bugs": Field(
            MapOf(BUG, key=WORD, key_means="a bug (small letters, digits, _)", least=1),
            "bug → …",
            required=True,
        ),
    },
)


@dataclass(frozen=True)
class Bug:
    """One planted bug. `verdict` is what `check` must answer when it runs `scenario`."""

    name: str
    says: str
    scenario: Path
    check: str
    verdict: Verdict
    program: Path
    finding: str = ""  # a pattern that one of the check's findings, `step: message`, must match
    cluster: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    storms: tuple[Bug, ...] = ()  # the same bug in each storm that shows it too
    places: Mapping[str, Mark] = field(
        default_factory=dict, compare=False
    )  # where each option, and `bug`, is written

    @property
    def planted(self) -> Mapping[str, str]:
        """The options that plant it."""
        return {"bug": self.name, **self.options}


@dataclass(frozen=True)
class Table:
    """All bugs, and where the correct store and its scenarios are."""

    path: Path
    correct: Path
    scenarios: Path
    bugs: tuple[Bug, ...]

    def chosen(self, names: list[str]) -> tuple[Bug, ...]:
        """The bugs of these names, all when none is given. Raises UsageError for a name that is not in the table."""
        known = {bug.name: bug for bug in self.bugs}
        for name in names:
            if name not in known:
                raise UsageError(
                    f"there is no planted bug `{name}`{did_you_mean(name, known)}; they stand in {self.path}"
                )
        return tuple(known[name] for name in names) or self.bugs


def find_table(start: Path) -> Path:
    """nodes/broken/bugs.yaml in this folder or one above. Raises UsageError when there is none."""
    program = find_program("broken", start)
    path = program and program.parent / "bugs.yaml"
    if path is None or not path.is_file():
        raise UsageError(
            f"no nodes/broken/bugs.yaml in {start} or above it; call selftest in kvsim's own checkout, or name one with --table"
        )
    return path


def load_table(path: Path) -> Table:
    """The table of planted bugs. Raises FileProblems with all mistakes."""
    problems: list[Problem] = []
    tree = read_file(path, problems)
    reading = Reading(problems)
    values = TABLE.read(tree, reading) if tree is not None else None
    if problems:
        raise FileProblems(problems)
    home = path.resolve().parent
    program, scenarios = home / values["program"], home / values["scenarios"]
    bugs = tuple(_bug(name, row, home, program, scenarios) for name, row in values["bugs"].items())
    for bug in bugs:
        played = (bug.scenario, *(storm.scenario for storm in bug.storms))
        for file in (*played, bug.program, bug.cluster):
            if file is not None and not file.is_file():
                where = values["bugs"][bug.name].node.mark
                there = (one.stem for one in file.parent.glob("*.yaml"))
                reading.say(
                    where, f"bugs.{bug.name}: there is no file {near(file)}{did_you_mean(file.stem, there)}"
                )
    if problems:
        raise FileProblems(problems)
    return Table(path, (home / values["correct"]).resolve(), scenarios.resolve(), bugs)


def _bug(name: str, row: Values, home: Path, program: Path, scenarios: Path) -> Bug:
    bug = Bug(
        name=name,
        says=row["says"],
        scenario=near(scenarios / f"{row['scenario']}.yaml"),
        check=row["check"],
        verdict=Verdict(row["verdict"]),
        program=near(home / row["program"]) if row.get("program") else near(program),
        finding=row["finding"],
        cluster=near(home / row["cluster"]) if row.get("cluster") else None,
        options=row["options"],
        places=_places(row),
    )
    storms = (
        replace(
            bug,
            scenario=near(scenarios / "storms" / f"{storm}.yaml"),
            check=check,
            verdict=Verdict.FAIL,
            finding="",
            cluster=None,
        )
        for storm, check in row["storms"].items()
    )
    return replace(bug, storms=tuple(storms))


def _places(row: Values) -> Mapping[str, Mark]:
    options = row.at("options")
    written = options.entries if row.wrote("options") and isinstance(options, Fields) else ()
    return {"bug": row.node.mark, **{key.text: key.mark for key, _ in written}}


def near(path: Path) -> Path:
    """As one would write it from here."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole
