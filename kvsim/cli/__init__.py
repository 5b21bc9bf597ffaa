"""The command line: one file a command, found in one table, imported when it is called. `--help` imports nothing else.

Errors that kvsim raises on purpose become one line on stderr and their exit status; anything else is kvsim's own fault (70).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import kvsim
from kvsim.errors import Exit, FileProblems, KvsimError, UsageError

GROUPS = {  # what a user wants → command → what it does
    "prove": {
        "run": "run scenarios against a private cluster and print the proof",
        "verify": "judge a recorded run again, offline; find what was edited",
        "check": "judge a history by what its program promises: of a run, or a file, also of others",
        "report": "write a run's film (report.html) and trace.json again; --open it",
        "serve": "list all runs in the browser with their verdicts, and open each",
    },
    "a cluster to play with": {
        "up": "start the cluster in the background and wait until every node is ready",
        "status": "show every node of the cluster that is up: its process, and what it says",
        "top": "watch the cluster that is up: roles, memory, processor, latency, last log lines",
        "logs": "print the logs of the cluster that is up, or of a run; --follow them",
        "client": "send one request to a node: kvsim client n1 put k v",
        "kill": "kill nodes of the cluster that is up: kvsim kill leader",
        "start": "start nodes that were killed or stopped again, on the data they had",
        "restart": "stop nodes of the cluster that is up in order, and start them again",
        "pause": "stop every thread of nodes of the cluster that is up",
        "resume": "let paused nodes go on",
        "partition": "part nodes of the cluster that is up from each other: kvsim partition n1 / n2 n3",
        "heal": "let parted nodes reach each other again",
        "promote": "make a node of the cluster that is up the leader: kvsim promote n2",
        "record": "try things out on a fresh cluster and keep them as a scenario",
        "down": "stop the cluster that is up, whatever is left of it",
    },
    "your own store": {
        "init": "describe a store of yours: try it, write node.yaml, cluster.yaml and a first scenario, run that",
        "doctor": "give a program its physical: ports, signals, restarts, rough clients; each finding with its cure",
        "compare": "play one scenario against two programs, side by side; the first difference is marked",
    },
    "many runs": {
        "repeat": "run one scenario many times: how often it holds, and where it first goes wrong",
        "sweep": "run a scenario with a node killed or restarted after each of its steps, as a grid",
        "shrink": "make a run that failed as small as it can be: a scenario of the fewest steps",
        "campaign": "run scenarios with many seeds on many workers, into one database and one page",
        "grade": "grade many submissions against one plan, each in a room of its own",
        "selftest": "run the scenarios against every planted bug; a missed one fails",
    },
    "files and shells": {
        "lint": "check scenario, cluster and node.yaml files without starting anything",
        "schema": "print the JSON Schema of a kind of file, for editors",
        "completion": "print shell completion: kvsim completion bash",
    },
}

COMMANDS = {name: text for commands in GROUPS.values() for name, text in commands.items()}

USAGE = """kvsim starts a replicated key-value store as real processes, drives it, and proves what it really does.

usage: kvsim COMMAND …          kvsim COMMAND --help tells more
"""

EXAMPLES = """examples:
  kvsim run scenarios/roles.yaml                the main job: prints the proof
  kvsim run scenarios/roles.yaml --seed 4127    the same again, with the same keys
  kvsim verify runs/latest                      is that proof still what the run gives?
  kvsim up && kvsim client n1 put k v           a cluster to play with; kvsim down ends it

exit status: 0 pass, 1 fail, 2 unknown, 3 invalid (nothing was proven), 4 your files or arguments, 70 kvsim's own fault
"""


def main(argv: list[str]) -> int:
    """Run one command; the exit status. Never raises."""
    try:
        return _dispatch(argv)
    except KvsimError as error:
        # mistakes in files begin with file:line:column, so that editors and CI can find the place
        print(str(error) if isinstance(error, FileProblems) else f"kvsim: {error}", file=sys.stderr)
        return int(error.exit)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.PASS)
    except KeyboardInterrupt:
        print("kvsim: interrupted", file=sys.stderr)
        return 130
    except Exception:
        import traceback

        traceback.print_exc()
        print(
            f"kvsim {kvsim.__version__}: this is kvsim's own fault; please report it with the lines above",
            file=sys.stderr,
        )
        return int(Exit.INTERNAL)


def _dispatch(argv: list[str]) -> int:
    name, *rest = argv or ["--help"]
    if name in {"-h", "--help", "help"}:
        return _help(rest)
    if name in {"-V", "--version"}:
        print(f"kvsim {kvsim.__version__}")
        return int(Exit.PASS)
    if name not in COMMANDS:
        from kvsim.config.spelling import did_you_mean

        raise UsageError(
            f"there is no command `{name}`{did_you_mean(name, COMMANDS)}; kvsim --help lists them"
        )
    return command_module(name).run(parser_of(name).parse_args(rest))


def _help(rest: list[str]) -> int:
    if rest and rest[0] in COMMANDS:
        parser_of(rest[0]).print_help()
        return int(Exit.PASS)
    width = max(map(len, COMMANDS))
    print(USAGE)
    for title, commands in GROUPS.items():
        print(f"{title}:")
        for name, text in commands.items():
            print(f"  {name:<{width}}  {text}")
        print()
    print(EXAMPLES, end="")
    return int(Exit.PASS)


def command_module(name: str):
    """The module of one command: `configure(parser)` and `run(arguments) -> exit status`."""
    return import_module(f"kvsim.cli.{name}")


def parser_of(name: str):
    """One command's argument parser."""
    from kvsim.cli.arguments import Parser

    module = command_module(name)
    parser = Parser(prog=f"kvsim {name}", description=module.__doc__)
    module.configure(parser)
    return parser
