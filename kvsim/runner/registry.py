"""The one registry of kvsim: all verbs, checks, kinds of probes, and protocols.

The commands and the API read files with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from kvsim.client.connect import describe_protocol, language_of, protocol_names
from kvsim.config.registry import Registry
from kvsim.config.scenario_schema import Verb
from kvsim.config.schema import Field


def _load_verbs() -> Mapping[str, Verb]:
    from kvsim.discovery import discover
    from kvsim.runner import steps
    from kvsim.runner.context import StepVerb

    return discover(steps, StepVerb)


class _CheckNames(Set[str]):
    """The names of all checks. Consistency checks are imported when one of them is asked for."""

    def __contains__(self, name: object) -> bool:
        from kvsim.checks.registry import CHECKS

        return name in CHECKS or (str(name).startswith("load_") and name in set(self))

    def __iter__(self) -> Iterator[str]:
        from kvsim.checks.registry import CHECKS
        from kvsim.checks.workload_checks import NAMES

        return iter((*CHECKS, *NAMES))

    def __len__(self) -> int:
        return len(list(self))


def _load_probes() -> Mapping[str, Field]:
    from kvsim.launcher.readiness import PROBE_KINDS

    return {kind.name: Field(kind.schema, kind.about) for kind in PROBE_KINDS.values()}


# Each part is imported when it is first used.
REGISTRY = Registry(
    load_verbs=_load_verbs,
    load_checks=_CheckNames,
    load_probes=_load_probes,
    load_protocols=protocol_names,
    language_of=language_of,
    describe_protocol=describe_protocol,
)
