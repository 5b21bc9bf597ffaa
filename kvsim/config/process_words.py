"""The part of node.yaml that is about processes, as tables: how one is started, known to be ready, read and stopped."""

from __future__ import annotations

from typing import Any

from kvsim.config.common_words import ROLE, RUN, STATUSES, WORD, Signal
from kvsim.config.shape import (
    ByKind,
    Field,
    Flag,
    Int,
    ListOf,
    Pattern,
    Reading,
    Record,
    Text,
    TimeLimit,
    Word,
)
from kvsim.config.yaml_tree import Scalar
from kvsim.limits import Own


class SafePath(Text):
    """A relative path that stays below its folder."""

    def take(self, node: Scalar, reading: Reading) -> Any:
        if node.text.startswith("/") or ".." in node.text.split("/"):
            return reading.expected(node, "a path below the data directory (relative, without ..)")
        return super().take(node, reading)


ARGV = ListOf(Text("one argument", template=RUN), least=1)
MORE_ARGV = ListOf(Text("one argument", template=RUN))
EXITS = ListOf(Int(0, 255, "an exit status"), one=True)
WITHIN = "time limit"
COMMAND = ByKind(
    "a command (a list of arguments) or a mapping (run, roles, needs, within)",
    items=ARGV,
    mapping=Record(
        "command",
        {
            "run": Field(ARGV, "the command, as a list of arguments", required=True),
            "roles": Field(ListOf(ROLE, one=True, least=1), "only for nodes of these roles", shows="both"),
            "needs": Field(Word(("leader",)), "wait until this node is ready first"),
            "within": Field(TimeLimit(), WITHIN, default=Own(30.0), shows="30s"),
        },
    ),
)
START = ByKind(
    "a list of arguments, or one list for each role",
    items=ARGV,
    mapping=Record(
        "start for each role",
        {
            "leader": Field(ARGV, "the command that starts a leader", required=True),
            "follower": Field(ARGV, "the command that starts a follower", required=True),
        },
    ),
)
PROBES = {
    "log": Field(
        Record(
            "log probe",
            {
                "pattern": Field(Pattern(template=RUN), "what the line holds", required=True),
                "in": Field(
                    Text("stdout, stderr or a file in the data directory", template=RUN),
                    "where to look",
                    shows="stdout and stderr",
                ),
            },
            bare="pattern",
        ),
        "a line that the node logs once it serves; only lines of this start count",
    ),
    "port": Field(
        Record(
            "port probe",
            {
                "state": Field(
                    Word({"owned": "the listener is our own process", "open": "somebody listens"}),
                    "what is asked",
                    default="owned",
                ),
                "name": Field(
                    Text("a name in `ports`", pattern=WORD), "an extra port", shows="the client port"
                ),
            },
            bare="state",
        ),
        "its port is open, and owned by the process that was started",
    ),
    "ping": Field(Flag(), "the `ping` request is answered with ok"),
    "request": Field(
        Record(
            "request probe",
            {
                "send": Field(Text("a verb in `requests`", pattern=WORD), "which request", required=True),
                "reply": Field(
                    Pattern(template=RUN), "what the reply must hold", shows="any reply that is `ok`"
                ),
            },
            bare="send",
        ),
        "a request gets the expected reply",
    ),
    "http": Field(
        Record(
            "HTTP probe",
            {
                "url": Field(
                    Text("a path or URL", template=RUN),
                    "a path on the client port, or a whole URL",
                    required=True,
                ),
                "status": Field(STATUSES, "statuses that mean ready", default=(200,), shows="200"),
                "body": Field(Pattern(template=RUN), "what the body must hold"),
            },
            bare="url",
        ),
        "an HTTP request gets the expected status or body",
    ),
    "command": Field(
        ByKind(
            "a list of arguments or a mapping (run, exit, output)",
            items=ARGV,
            mapping=Record(
                "command probe",
                {
                    "run": Field(ARGV, "the command", required=True),
                    "exit": Field(EXITS, "exit statuses that mean ready", default=(0,), shows="0"),
                    "output": Field(Pattern(template=RUN), "what its output must hold"),
                },
            ),
        ),
        "a command ends with the expected status or output",
    ),
}


def ready_record(name: str, within_s: float) -> Record:
    """The shape of `ready` and `cluster_ready`: probes that must all hold, and a time limit."""
    return Record(
        name,
        {
            **PROBES,
            "any": Field(
                ListOf(Record("probe", PROBES, one_of=tuple(PROBES)), least=1),
                "one of these is enough, beside the others",
            ),
            "within": Field(
                TimeLimit(),
                "time limit for all of it together",
                default=Own(within_s),
                shows=f"{within_s:g}s",
            ),
        },
    )


LOG = Record(
    "log",
    {
        "mode": Field(
            Word(
                {
                    "file": "stdout and stderr go to a file",
                    "linebuf": "the same through stdbuf -oL, for programs that buffer",
                    "pty": "a terminal, for programs that buffer all the same",
                }
            ),
            "how output is caught",
            default="file",
            shows="file",
        ),
        "extra": Field(
            ListOf(SafePath("a glob below the data directory"), one=True),
            "more log files",
            default=(),
        ),
    },
    bare="mode",
)
STOP_STEP = Record(
    "stop step",
    {
        "signal": Field(Signal(), "send this signal to the process group"),
        "command": Field(ARGV, "run this command"),
        "wait": Field(TimeLimit(), "how long everything may take to be gone", default=Own(3.0), shows="3s"),
    },
    one_of=("signal", "command"),
)
STOP = Record(
    "stop",
    {
        "signal": Field(Signal(), "send this signal to the process group", shows="TERM"),
        "command": Field(ARGV, "or run this command"),
        "grace": Field(
            TimeLimit(),
            "how long the node may take to be gone before it is killed",
            default=Own(3.0),
            shows="3s",
        ),
        "steps": Field(ListOf(STOP_STEP, least=1), "or several steps, each with its own wait"),
        "exit": Field(
            EXITS,
            "exit statuses that count as a clean stop; 128 and the number of a signal for one that ends by it",
            default=(0,),
            shows="0",
        ),
        "pid_file": Field(
            SafePath("a path below the data directory", template=RUN), "where a daemon writes its process id"
        ),
    },
)
