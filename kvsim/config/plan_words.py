"""The language of plan.yaml, for grading, as tables. How it is read stands in `plan_file.py`."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from kvsim.config.shape import Duration, Field, Flag, Int, ListOf, OfScalar, Reading, Record, Text, Word
from kvsim.config.yaml_tree import Scalar


class Size(OfScalar):
    """An amount of memory or disk with its unit, read into bytes: `64MB`, `1.5GB`; at most a terabyte."""

    means = "an amount with its unit, such as 64MB or 2GB"
    WRITTEN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(kB|KB|MB|GB)")
    UNITS: ClassVar[dict[str, int]] = {"kB": 1 << 10, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    MAX = 1 << 40

    def take(self, node: Scalar, reading: Reading) -> Any:
        match = self.WRITTEN.fullmatch(node.text)
        if not match:
            return reading.expected(node, self.means)
        size = int(float(match[1]) * self.UNITS[match[2]])
        return size if size <= self.MAX else reading.expected(node, "at most 1024GB")

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.WRITTEN.pattern})$"}


PARTIAL = {
    "none": "all points when every run passes, else none",
    "runs": "the share of runs that pass",
    "steps": "the share of steps that pass, over all runs; a check that was broken counts as one more step",
}
INSIDE = {"flag": "say so beside the points", "zero": "give no points at all", "ignore": "do not look"}
SCENARIO = Record(
    "graded scenario",
    {
        "file": Field(Text("a scenario file"), "the scenario", required=True),
        "points": Field(Int(0, 100_000, "points"), "what it is worth", required=True),
        "title": Field(Text(), "what students see as its name", shows="the scenario's name"),
        "hidden": Field(Flag(), "students see the points and no message", default=False, shows="false"),
        "runs": Field(
            Int(1, 1000, "runs"),
            "so many runs (of each cell of a matrix), each with a secret seed of its own",
            default=1,
            shows="1",
        ),
        "partial": Field(Word(PARTIAL), "partial credit", default="runs", shows="runs"),
    },
)
LIMITS = Record(
    "limits",
    {
        "time": Field(Duration(), "one run at most", default=120.0, shows="2m"),
        "build_time": Field(Duration(), "the build at most", default=300.0, shows="5m"),
        "memory": Field(
            Size(),
            "memory of all processes of a run together; without control groups, address space of one process",
            default=1 << 30,
            shows="1GB",
        ),
        "cpu": Field(
            Int(1, 86_400, "seconds"),
            "CPU seconds of all processes of a run together; without control groups, of one process",
            default=120,
            shows="120",
        ),
        "processes": Field(
            Int(1, 100_000), "processes and threads of a run together", default=256, shows="256"
        ),
        "files": Field(Int(8, 1_000_000), "open files of one process", default=1024, shows="1024"),
        "disk": Field(Size(), "what a run may write, and a build", default=256 << 20, shows="256MB"),
    },
)
PLAN = Record(
    "plan",
    {
        "plan": Field(
            Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the plan's name", required=True
        ),
        "title": Field(Text(), "one line about it"),
        "program": Field(
            Text("a path to a node.yaml"),
            "how a submission is started; a relative path in its `start`, and {program_dir}, mean the submission",
            required=True,
        ),
        "build": Field(
            ListOf(Text("one argument")),
            "a command run once in the submission's folder",
            default=(),
            shows="nothing",
        ),
        "scenarios": Field(ListOf(SCENARIO, least=1), "what is graded", required=True),
        "limits": Field(LIMITS, "what a submission may use", shows="the defaults below"),
        "inside": Field(
            Word(INSIDE),
            "when a known store (Redis, etcd, …) is found inside a submission",
            default="flag",
            shows="flag",
        ),
    },
)
