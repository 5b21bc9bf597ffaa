"""Which outcome rules a verb has: its own, then those for any verb. Checked once, when a client is made."""

from __future__ import annotations

from collections.abc import Callable

from kvsim.client.outcomes import check_rules
from kvsim.config.program import Program, Rule
from kvsim.errors import UsageError


def rules_of(program: Program) -> Callable[[str], tuple[Rule, ...]]:
    """A look-up verb → rules. Raises UsageError for rules that cannot be used."""
    common = program.replies.get("any", ())
    for verb, rules in program.replies.items():
        problem = check_rules(rules)
        if problem:
            raise UsageError(f"program {program.name}: replies: {verb}: {problem}")
    table = {verb: (*rules, *common) for verb, rules in program.replies.items() if verb != "any"}
    return lambda verb: table.get(verb, common)
