"""What a test of a store is about: its subjects, and which scenario, check and diagnostic belongs
to which. Tables only.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from kvsim.checks.registry import subject_of
from kvsim.checks.subject import Subject

# Subject → the question that it answers, in the order of output.
SUBJECTS: Mapping[str, str] = {
    Subject.ROLES: "does the leader accept writes, and do followers refuse them and name it?",
    Subject.VALUES: "is every value given back as it was given, and every request answered?",
    Subject.DURABILITY: "does what was acknowledged survive kills, power cuts and broken disks?",
    Subject.REPLICATION: "do followers get every write, once, in the leader's order?",
    Subject.FAILOVER: "does another node take over with all that was acknowledged?",
    Subject.CONSISTENCY: "do many clients at once see one store, as far as it is guaranteed?",
    Subject.RESOURCES: "do memory, threads, files and time stay within bounds?",
    Subject.MANNERS: "does it start, log, stop and clean up as it should?",
}


class Entry(Struct, frozen=True):
    """A scenario's subject, and how long a run of it takes on a quiet machine."""

    subject: str
    seconds: float


# Scenario → its entry, in the order in which they are run: what is cheap and tells much is first.
SCENARIOS: Mapping[str, Entry] = {
    "roles": Entry(Subject.ROLES, 1),
    "refusals": Entry(Subject.ROLES, 1),
    "values": Entry(Subject.VALUES, 1),
    "reads": Entry(Subject.VALUES, 1),
    "requests": Entry(Subject.VALUES, 1),
    "redirect": Entry(Subject.ROLES, 1),
    "survives": Entry(Subject.DURABILITY, 1.5),
    "values_text": Entry(Subject.VALUES, 2),
    "values_words": Entry(Subject.VALUES, 1.5),
    "values_empty": Entry(Subject.VALUES, 1.5),
    "values_lengths": Entry(Subject.VALUES, 2),
    "cas": Entry(Subject.VALUES, 1),
    "cas_at_followers": Entry(Subject.ROLES, 1),
    "replicas": Entry(Subject.REPLICATION, 1),
    "replication": Entry(Subject.REPLICATION, 1),
    "forwarding": Entry(Subject.REPLICATION, 2),
    "forwarding_survives": Entry(Subject.FAILOVER, 6),
    "load_plain": Entry(Subject.CONSISTENCY, 3),
    "killed_during_a_write": Entry(Subject.DURABILITY, 1.5),
    "leader_down": Entry(Subject.DURABILITY, 1.5),
    "follower_restart": Entry(Subject.ROLES, 2),
    "durable": Entry(Subject.DURABILITY, 2),
    "connections": Entry(Subject.RESOURCES, 5),
    "many_keys": Entry(Subject.RESOURCES, 8),
    "mixed_load": Entry(Subject.CONSISTENCY, 3),
    "cas_load": Entry(Subject.CONSISTENCY, 3),
    "order": Entry(Subject.REPLICATION, 1.5),
    "promote": Entry(Subject.FAILOVER, 3),
    "majority": Entry(Subject.FAILOVER, 8),
    "fenced": Entry(Subject.FAILOVER, 4),
    "terms": Entry(Subject.FAILOVER, 3),
    "third": Entry(Subject.FAILOVER, 3),
    "behind": Entry(Subject.FAILOVER, 3),
    "catch_up": Entry(Subject.REPLICATION, 3),
    "catch_up_snapshot": Entry(Subject.REPLICATION, 2),
    "snapshot_restart": Entry(Subject.DURABILITY, 2),
    "kill_during_writes": Entry(Subject.DURABILITY, 4),
    "all_nodes": Entry(Subject.REPLICATION, 6),
    "many_writes": Entry(Subject.REPLICATION, 5),
    "lag": Entry(Subject.REPLICATION, 2),
    "torn": Entry(Subject.DURABILITY, 2),
    "power": Entry(Subject.DURABILITY, 2),
    "power_torn": Entry(Subject.DURABILITY, 4),
    "power_majority": Entry(Subject.DURABILITY, 5),
    "power_all_nodes": Entry(Subject.DURABILITY, 3),
    "power_measured": Entry(Subject.DURABILITY, 2),
    "disk_full": Entry(Subject.DURABILITY, 3),
    "disk_failing": Entry(Subject.DURABILITY, 3),
    "clock": Entry(Subject.DURABILITY, 2),
    "storm-majority": Entry(Subject.CONSISTENCY, 10),
    "storm-durable": Entry(Subject.CONSISTENCY, 10),
    "storm-power": Entry(Subject.DURABILITY, 8),
    "storm-failover": Entry(Subject.FAILOVER, 8),
    "storm-cut-off": Entry(Subject.FAILOVER, 8),
    "storm-cas": Entry(Subject.CONSISTENCY, 10),
    "storm-links": Entry(Subject.CONSISTENCY, 10),
    "storm-disk": Entry(Subject.DURABILITY, 12),
}
OTHER = Entry(Subject.CONSISTENCY, 12)

# Checks that are about whatever the scenario is about.
OF_SCENARIO = frozenset(
    {"expectations", "faults_have_evidence", "load_exercised", "load_loads_did_enough"}
)
# Module of a diagnostic of the doctor → subject.
DIAGNOSTICS: Mapping[str, str] = {
    "startup": Subject.MANNERS,
    "resources": Subject.RESOURCES,
    "shutdown": Subject.MANNERS,
    "isolation": Subject.MANNERS,
    "protocol": Subject.VALUES,
    Subject.VALUES: "values",
}


def entry_of(scenario: str) -> Entry:
    return SCENARIOS.get(scenario, OTHER)


def position_of(scenario: str) -> int:
    """Where a scenario stands in the order of runs; the unknown ones are last."""
    names = list(SCENARIOS)
    return names.index(scenario) if scenario in SCENARIOS else len(names)


def subject_of_check(check: str, scenario: str) -> str:
    return entry_of(scenario).subject if check in OF_SCENARIO else subject_of(check)
