"""What layers above `config` add to its languages: verbs, checks, probes, protocols.

The readers, JSON Schemas and reference pages take a registry as an argument.
`kvsim.runner.registry` makes the one that kvsim uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property

from msgspec import Struct

from kvsim.config.cluster_schema import cluster_record
from kvsim.config.program_schema import program_record
from kvsim.config.protocol_schema import LanguageOf, no_language
from kvsim.config.scenario_schema import Verb, scenario_record
from kvsim.config.schema import Field, Record


class Registry(Struct, frozen=True, eq=False, kw_only=True, dict=True):
    """Verbs, checks, kinds of probes and protocols, by name.

    Each is loaded when it is first used: a command that reads no scenario imports no verb.
    `language_of` gives None for a protocol whose settings and requests are not checked;
    `describe_protocol` one line for the docs.
    """

    load_verbs: Callable[[], Mapping[str, Verb]]
    load_checks: Callable[[], Set[str]]
    load_probes: Callable[[], Mapping[str, Field]]
    load_protocols: Callable[[], Sequence[str]]
    language_of: LanguageOf = no_language
    describe_protocol: Callable[[str], str] = str

    @cached_property
    def verbs(self) -> Mapping[str, Verb]:
        """The verbs of scenarios, by name, in the order of the docs."""
        return self.load_verbs()

    @cached_property
    def checks(self) -> Set[str]:
        """The names of checks that a scenario may require."""
        return self.load_checks()

    @cached_property
    def probes(self) -> Mapping[str, Field]:
        """The kinds of readiness probes: name → the field of `ready`."""
        return self.load_probes()

    @cached_property
    def protocols(self) -> tuple[str, ...]:
        """The names of the protocols."""
        return tuple(self.load_protocols())

    @cached_property
    def program(self) -> Record:
        """The schema of node.yaml."""
        return program_record(self.probes, self.protocols, self.language_of)

    @cached_property
    def cluster(self) -> Record:
        """The schema of cluster.yaml."""
        return cluster_record(self.program)

    @cached_property
    def scenario(self) -> Record:
        """The schema of a scenario, for JSON Schema and docs; the loader reads the steps."""
        return scenario_record(self.verbs)
