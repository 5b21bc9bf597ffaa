"""The command line: one table of commands, each imported when it is called. `--help` imports none.

Errors that kvsim raises on purpose become one line on stderr and their exit status. Any other
exception is an error in kvsim itself (exit status 70).
"""

from __future__ import annotations

import sys

import kvsim
from kvsim.cli.streams import safe_streams
from kvsim.errors import Exit, FileProblems, KvsimError, UsageError
from kvsim.prerequisites import missing_package
from kvsim.process.inherited import check_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvsim.cli.arguments import Parser, Subcommand

# Purpose -> command -> the module of kvsim.cli that defines it, and what it does.
# The module holds the command in its own table `COMMANDS`.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "prove": {
        "run": ("run", "run scenarios against a private cluster and print what was proven"),
        "verify": (
            "run_results",
            "judge a recorded run again, offline; find files that were edited",
        ),
        "check": ("check", "judge a history (a run, or a file of another tool) for consistency"),
        "report": ("run_results", "write a run's timeline (report.html) and trace.json again"),
        "serve": ("run_results", "list all runs in the browser with their verdicts"),
    },
    "a cluster that stays up": {
        "up": (
            "cluster_lifecycle",
            "start the cluster in the background; wait until every node is ready",
        ),
        "status": ("cluster_lifecycle", "show every node: its process, and what it reports"),
        "top": ("top", "watch the cluster: roles, memory, processor, latency, last log lines"),
        "logs": ("logs", "print the logs of the cluster, or of a run; --follow them"),
        "client": ("client", "send one request to a node: kvsim client n1 put k v"),
        "kill": ("cluster_nodes", "kill nodes: kvsim kill leader"),
        "start": (
            "cluster_nodes",
            "start nodes that were killed or stopped again, on the data they had",
        ),
        "restart": ("cluster_nodes", "stop nodes in order, and start them again"),
        "pause": ("cluster_nodes", "stop every thread of nodes"),
        "resume": ("cluster_nodes", "let paused nodes continue"),
        "partition": (
            "cluster_links",
            "separate nodes from each other: kvsim partition n1 / n2 n3",
        ),
        "heal": ("cluster_links", "end a partition"),
        "promote": ("cluster_nodes", "make a node the leader: kvsim promote n2"),
        "record": ("record", "try requests and faults interactively; write them as a scenario"),
        "down": ("cluster_lifecycle", "stop the cluster and all processes it left behind"),
    },
    "your own store": {
        "init": ("init", "describe your store: write node.yaml, cluster.yaml and a scenario"),
        "test": ("test", "test a store as hard as can be in ten minutes; one table, by subject"),
        "doctor": ("doctor", "diagnose a program: ports, signals, restarts, malformed requests"),
        "compare": ("compare", "run one scenario against two programs; show where they differ"),
    },
    "many runs": {
        "repeat": ("repeat", "run one scenario many times: how often it passes, where it fails"),
        "sweep": ("sweep", "run a scenario with a kill or a restart after each of its steps"),
        "shrink": ("shrink", "find the fewest steps with which a failed run still fails"),
        "campaign": ("campaign", "run scenarios with many seeds on many workers"),
        "grade": ("grade", "grade many submissions against one plan, each in a sandbox"),
        "selftest": (
            "selftest",
            "run the scenarios against every planted bug; each must be caught",
        ),
    },
    "files and shells": {
        "clean": ("clean", "show what earlier runs left, and remove it with --yes"),
        "lint": ("lint", "check scenario, cluster and node.yaml files; start nothing"),
        "schema": ("editor_support", "print the JSON Schema of a kind of file, for editors"),
        "completion": ("editor_support", "print shell completion: kvsim completion bash"),
    },
}

SUMMARIES = {name: text for group in GROUPS.values() for name, (_, text) in group.items()}
MODULES = {name: module for group in GROUPS.values() for name, (module, _) in group.items()}

# They wait for the user, and draw or print as long as they like.
ENDLESS = {"logs", "serve", "top"}

# Habits of other tools.
ALIASES = {"ps": "status"}

USAGE = """\
kvsim starts a replicated key-value store as real processes, drives it, and proves what it does.

usage: kvsim COMMAND …          kvsim COMMAND --help describes one
"""

EXAMPLES = """\
examples:
  kvsim run scenarios/roles.yaml                the main use: prints what was proven
  kvsim run scenarios/roles.yaml --seed 4127    the same again, with the same keys
  kvsim verify runs/latest                      does the recorded run still give that proof?
  kvsim up && kvsim client n1 put k v           a cluster that stays up until kvsim down

exit status: 0 pass, 1 fail, 2 unknown, 3 invalid (nothing was proven),
             4 an error in your files or arguments, 70 an error in kvsim itself
"""


def main(argv: list[str]) -> int:
    """Run one command; the exit status, which does not depend on its output. Never raises."""
    with safe_streams():
        return _guarded(argv)


def _guarded(argv: list[str]) -> int:
    """The exit status of a command, for its errors too."""
    try:
        return _dispatch(argv)
    except KvsimError as error:
        # A mistake in a file begins with file:line:column, which editors and CI recognise.
        print(str(error) if isinstance(error, FileProblems) else f"kvsim: {error}", file=sys.stderr)
        return int(error.exit)
    except KeyboardInterrupt:
        print("kvsim: interrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        line = missing_package(error.name, argv)
        if not line:
            return _own_error()
        print(f"kvsim: {line}", file=sys.stderr)
        return int(Exit.USAGE)
    except OSError as error:
        return _system_error(error)
    except Exception:
        return _own_error()


def _system_error(error: OSError) -> int:
    """What the system refuses is no error in kvsim: one line, with the file that it is about."""
    import errno
    import os

    lacking = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS}
    if error.filename is None and error.errno not in lacking:
        return _own_error()
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    print(f"kvsim: {where}{error.strerror or error}", file=sys.stderr)
    return int(Exit.USAGE)


def _own_error() -> int:
    """Print the exception that is being handled as an error in kvsim itself."""
    import traceback

    traceback.print_exc()
    print(
        f"kvsim {kvsim.__version__}: this is an error in kvsim itself; please report it with "
        "the lines above",
        file=sys.stderr,
    )
    return int(Exit.INTERNAL)


def _dispatch(argv: list[str]) -> int:
    name, *rest = argv or ["--help"]
    name = ALIASES.get(name, name)
    if name in {"-h", "--help", "help"}:
        return _help(rest)
    if name in {"-V", "--version"}:
        print(f"kvsim {kvsim.__version__}")
        return int(Exit.PASS)
    if name not in MODULES:
        from kvsim.text import did_you_mean

        raise UsageError(
            f"there is no command `{name}`{did_you_mean(name, [*MODULES, *ALIASES])}; "
            "kvsim --help lists them"
        )
    parser = command_parser(name)
    check_system()
    arguments = parser.parse_args(rest)
    if name in ENDLESS:
        return find_command(name).run(arguments)
    from kvsim.cli.waiting_line import waiting_line

    with waiting_line(f"kvsim {name}: {SUMMARIES[name]}"):
        return find_command(name).run(arguments)


def _help(rest: list[str]) -> int:
    name = ALIASES.get(rest[0], rest[0]) if rest else ""
    if name in MODULES:
        command_parser(name).print_help()
        return int(Exit.PASS)
    width = max(map(len, SUMMARIES))
    print(USAGE)
    for title, commands in GROUPS.items():
        print(f"{title}:")
        for name in commands:
            print(f"  {name:<{width}}  {SUMMARIES[name]}")
        print()
    print(EXAMPLES, end="")
    return int(Exit.PASS)


def find_command(name: str) -> Subcommand:
    """A command of the table, imported now."""
    from importlib import import_module

    commands: dict[str, Subcommand] = import_module(f"kvsim.cli.{MODULES[name]}").COMMANDS
    return commands[name]


def command_parser(name: str) -> Parser:
    """The parser of one command's arguments."""
    from kvsim.cli.arguments import Parser

    command = find_command(name)
    parser = Parser(prog=f"kvsim {name}", description=command.description)
    command.configure(parser)
    return parser
