"""What a scenario may need of a program: its capabilities, and what follows from its description.

A scenario whose needs a program does not meet is skipped, with the reason. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from kvsim.config.guarantee_levels import GUARANTEE_LEVELS
from kvsim.config.program import POWER, Program
from kvsim.config.program_schema import CAPABILITIES

# From the weakest to the strongest.
WRITE_LEVELS = tuple(GUARANTEE_LEVELS["writes"])


class Derived(Struct, frozen=True):
    """A need that no author writes as a capability: it follows from the rest of node.yaml."""

    means: str
    holds: Callable[[Program], bool]


def _write_level(program: Program) -> str:
    return program.guarantees.get("writes", WRITE_LEVELS[0])


def _may_survive_power(program: Program) -> bool:
    """Whether it guarantees that, with some options."""
    return POWER in program.survives.words.union(*program.survives.by_value.values())


def _at_least(level: str) -> Callable[[Program], bool]:
    return lambda program: WRITE_LEVELS.index(_write_level(program)) >= WRITE_LEVELS.index(level)


def _acknowledges(*levels: str) -> Callable[[Program], bool]:
    return lambda program: _write_level(program) in levels


# No store answers so by itself.
PROBE = "kvsim-asks"


def tells_values(program: Program) -> bool:
    """Whether no rule for a read takes an answer that is nothing but a value."""
    for rule in program.replies.get("get", ()):
        if rule.outcome != "value" or not rule.reply or rule.status or rule.stderr:
            continue
        match = re.search(rule.reply, PROBE)
        if match and match.groupdict().get("value") == PROBE:
            return False
    return True


DERIVED: Mapping[str, Derived] = {
    "delete": Derived("it has the request `delete`", lambda program: "delete" in program.requests),
    "refuses": Derived(
        "a follower refuses writes: it has the capability `roles`, or `elects` and not `forwards`",
        lambda program: (
            "roles" in program.capabilities
            or {"elects", "forwards"} & program.capabilities == {"elects"}
        ),
    ),
    "follower_reads": Derived(
        "followers serve reads: it has no capability `leader_reads_only`",
        lambda program: "leader_reads_only" not in program.capabilities,
    ),
    "connections": Derived(
        "its clients speak over connections: `speak` is not `command`",
        lambda program: program.speak.kind != "command",
    ),
    "text_values": Derived(
        "its `values` may hold blanks, tabs and letters outside ASCII",
        lambda program: program.values.blanks and program.values.unicode,
    ),
    "empty_values": Derived(
        "its `values` may be empty, which its answers tell from no value",
        lambda program: program.values.empty,
    ),
    "long_values": Derived(
        "its `values` may have 64 KiB",
        lambda program: program.values.max_bytes is None or program.values.max_bytes >= 65536,
    ),
    "tells_values": Derived(
        "its answer to `get` tells a value such as NOT_FOUND from other answers: the rule for "
        "`value` has more than the value",
        tells_values,
    ),
    "durable": Derived(
        "its `guarantees` say that an acknowledged write is on disk", _at_least(WRITE_LEVELS[1])
    ),
    "durable_at_majority": Derived(
        "its `guarantees` say that an acknowledged write is on disk at a majority, or at all",
        _at_least("durable_at_majority"),
    ),
    "survives_power": Derived(
        "its `guarantees` say that what it acknowledged survives a power cut, with some options",
        _may_survive_power,
    ),
    "power_not_guaranteed": Derived(
        "its `guarantees` say nothing of power cuts: what one takes is measured, not judged",
        lambda program: not _may_survive_power(program),
    ),
    "linearizable_reads": Derived(
        "its `guarantees` say that the leader's reads are linearizable",
        lambda program: program.guarantees.get("leader_reads") == "linearizable",
    ),
    "prefix_reads": Derived(
        "its `guarantees` say that a follower shows ever longer prefixes of the leader's order, or "
        "more",
        lambda program: program.guarantees.get("follower_reads", "none") != "none",
    ),
    "acks_alone": Derived(
        "its leader acknowledges a write without any follower",
        _acknowledges("acked_by_leader", "durable_at_leader"),
    ),
    "acks_with_one_down": Derived(
        "its leader acknowledges a write while one of three nodes is down",
        _acknowledges("acked_by_leader", "durable_at_leader", "durable_at_majority"),
    ),
    "needs_majority": Derived(
        "its leader acknowledges a write if and only if a majority has it",
        _acknowledges("durable_at_majority"),
    ),
    "needs_all": Derived(
        "its leader acknowledges a write only if every node has it",
        _acknowledges("durable_at_all"),
    ),
}
# Need → what it means.
NEEDS: Mapping[str, str] = {
    **CAPABILITIES,
    **{name: derived.means for name, derived in DERIVED.items()},
}


def unmet_needs(needs: Iterable[str], programs: Iterable[Program]) -> list[str]:
    """Why these programs do not meet all needs, one line each."""
    by_name = {program.name: program for program in programs}
    return [
        f"program {name} {_lack(need)}"
        for need in sorted(needs)
        for name, program in by_name.items()
        if not meets(program, need)
    ]


def _lack(need: str) -> str:
    if need in DERIVED:
        return f"is not `{need}` ({DERIVED[need].means}), which it needs"
    return f"has no capability `{need}`, which it needs"


def meets(program: Program, need: str) -> bool:
    """Whether a program meets a need."""
    if need in DERIVED:
        return DERIVED[need].holds(program)
    return need in program.capabilities
