"""The table of examinations, and a round through all of them. Never raises for what the patient does."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from kvsim.doctor.examinations import (
    big_value,
    byte_by_byte,
    disk_and_clock,
    half_a_request,
    honours_data_dir,
    honours_port,
    idle_client,
    leaves_no_children,
    log_is_prompt,
    loopback_only,
    not_utf8,
    own_address,
    restarts_after_a_kill,
    second_instance,
    starts,
    stops_on_int,
    stops_on_term,
    two_in_one_packet,
    value_with_spaces,
    vanishing_client,
)
from kvsim.doctor.finding import Finding, Health, ill, not_looked
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import NoReply
from kvsim.errors import NodeFailed, UsageError
from kvsim.process.executable import SpawnError

_MODULES: tuple[ModuleType, ...] = (
    log_is_prompt,
    honours_port,
    loopback_only,
    honours_data_dir,
    stops_on_term,
    stops_on_int,
    leaves_no_children,
    restarts_after_a_kill,
    second_instance,
    half_a_request,
    vanishing_client,
    idle_client,
    two_in_one_packet,
    byte_by_byte,
    big_value,
    value_with_spaces,
    not_utf8,
    disk_and_clock,
    own_address,
)
EXAMINATIONS = {module.__name__.rpartition(".")[2]: module for module in (starts, *_MODULES)}


def about(name: str) -> str:
    """The question an examination answers."""
    return (EXAMINATIONS[name].__doc__ or "").splitlines()[0]


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Every examination, one after another; what does not start is not looked at further, unless only its log keeps it waiting."""
    first = _one(starts, patient)
    yield "starts", first
    relaxed = patient.without_log_probe()
    lives = first.health is Health.WELL or _one(starts, relaxed).health is Health.WELL
    for name in list(EXAMINATIONS)[1:]:
        yield (
            name,
            _one(EXAMINATIONS[name], patient if name == "log_is_prompt" else relaxed)
            if lives
            else not_looked("it does not start"),
        )


def _one(module: ModuleType, patient: Patient) -> Finding:
    try:
        return module.examine(patient)
    except (NodeFailed, SpawnError, NoReply) as error:
        return ill(str(error), "the examination could not go on", "see what the message names")
    except UsageError as error:
        return not_looked(str(error))
