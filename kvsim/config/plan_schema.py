"""The language of plan.yaml, for grading, as tables."""

from __future__ import annotations

from kvsim.config.plan import ResourceLimits
from kvsim.config.schema import (
    Choice,
    Duration,
    Field,
    Flag,
    Int,
    ListOf,
    Record,
    Size,
    Text,
)

PARTIAL = {
    "none": "all points when every run passes, else none",
    "runs": "the share of runs that pass",
    "steps": "the share of steps that pass, over all runs; a failed check counts as one more step",
}
KNOWN_STORE = {
    "flag": "report it beside the points",
    "zero": "give no points",
    "ignore": "do not search for one",
}
GRADED_SCENARIO = Record(
    "graded scenario",
    {
        "file": Field(
            Text("a scenario file", empty=False),
            "the scenario: a file, or the name of one that kvsim brings along",
            required=True,
        ),
        "points": Field(Int(0, 100_000, "points"), "its points", required=True),
        "title": Field(Text(), "what students see as its name", default_text="the scenario's name"),
        "hidden": Field(
            Flag(), "students see the points and no message", default=False, default_text="false"
        ),
        "runs": Field(
            Int(1, 1000, "runs"),
            "the number of runs (of each cell of a matrix); each has its own secret seed",
            default=1,
            default_text="1",
        ),
        "partial": Field(Choice(PARTIAL), "partial credit", default="runs", default_text="runs"),
    },
)
LIMITS = Record(
    "limits",
    {
        "time": Field(
            Duration(),
            "time limit of a run",
            default=120.0,
            default_text="2m",
            attribute="time_s",
        ),
        "build_time": Field(
            Duration(),
            "time limit of the build",
            default=300.0,
            default_text="5m",
            attribute="build_time_s",
        ),
        "memory": Field(
            Size(),
            "memory of all processes of a run together; without control groups, address space of "
            "one process",
            default=1 << 30,
            default_text="1GB",
            attribute="memory_bytes",
        ),
        "cpu": Field(
            Int(1, 86_400, "seconds"),
            "CPU seconds of all processes of a run together; without control groups, of one "
            "process",
            default=120,
            default_text="120",
            attribute="cpu_s",
        ),
        "processes": Field(
            Int(1, 100_000),
            "processes and threads of a run together",
            default=256,
            default_text="256",
        ),
        "files": Field(
            Int(8, 1_000_000), "open files of one process", default=1024, default_text="1024"
        ),
        "disk": Field(
            Size(),
            "how much a run may write, and a build",
            default=256 << 20,
            default_text="256MB",
            attribute="disk_bytes",
        ),
    },
    result=ResourceLimits,
)
PLAN = Record(
    "plan",
    {
        "plan": Field(
            Text("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*"), "the plan's name", required=True
        ),
        "title": Field(Text(), "one line about it"),
        "program": Field(
            Text("a path to a node.yaml", empty=False),
            "how a submission is started; a relative path in its `start`, and {program_dir}, mean "
            "the submission",
            required=True,
        ),
        "build": Field(
            ListOf(Text("one argument")),
            "a command run once in the submission's folder",
            default=(),
            default_text="nothing",
        ),
        "scenarios": Field(ListOf(GRADED_SCENARIO, length_min=1), "what is graded", required=True),
        "limits": Field(
            LIMITS,
            "what a submission may use",
            default=ResourceLimits(),
            default_text="the defaults below",
        ),
        "known_store": Field(
            Choice(KNOWN_STORE),
            "when a known store (Redis, etcd, …) is found inside a submission",
            default="flag",
            default_text="flag",
        ),
    },
)
