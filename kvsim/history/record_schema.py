"""What the files of a run hold: the types of meta.json and of each kind of event.

`run_record` checks a run against this before anything is judged. Steps and faults of other packages
may write kinds of event that are not named here; those may hold anything.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

from kvsim.history.json_types import (
    ANY,
    BOOL,
    BYTES,
    COUNT,
    INT,
    NUMBER,
    POSITIVE,
    SECONDS,
    TEXT,
    JsonList,
    JsonMap,
    JsonObject,
    JsonType,
    Later,
    Maybe,
    OneOf,
    Plain,
)
from kvsim.history.outcome import Outcome, OutcomeKind, Reason

# The format of run directories. Raised when this version cannot read what an earlier one wrote.
RECORD_FORMAT = 1

# Names that are also names of files in the run directory.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
NAME = Plain("a name", lambda value: type(value) is str and bool(FILE_NAME.fullmatch(value)))
# As `process.child` names them.
SIGNAL = Plain(
    "a signal",
    lambda value: (
        type(value) is str
        and (value in signal.Signals.__members__ or bool(re.fullmatch(r"signal [0-9]{1,3}", value)))
    ),
)
ROLE = OneOf(("leader", "follower"))
RESULT = OneOf(("pass", "fail", "unknown", "invalid", "skipped"))
EXPECTATION: JsonType = JsonObject(
    {"kind": TEXT},
    {
        "value": TEXT,
        "reason": TEXT,
        "names": TEXT,
        "options": JsonList(Later(lambda: EXPECTATION)),
    },
    closed=True,
)


def _contradiction(outcome: Mapping[str, Any]) -> str:
    """What is wrong between kind and reason."""
    try:
        Outcome.from_json(outcome)
    except ValueError as error:
        return str(error)
    return ""


OUTCOME = JsonObject(
    {"kind": OneOf([*OutcomeKind])},
    {
        "reason": OneOf([*Reason]),
        "value": TEXT,
        "found": BOOL,
        "leader": TEXT,
        "detail": TEXT,
        "matched": BOOL,
    },
    closed=True,
    rule=_contradiction,
)

ELECTIONS = JsonObject(
    {
        "timeout_s": Maybe(SECONDS),
        "serves_within_s": Maybe(SECONDS),
        "on_disk": JsonList(TEXT),
        "logs": JsonMap(JsonList(TEXT)),
    }
)
NODE_PLAN = JsonObject(
    {
        "id": INT,
        "role": ROLE,
        "program": TEXT,
        "address": TEXT,
        "ports": JsonList(INT),
        "hosts": JsonList(TEXT),
        "capabilities": JsonList(TEXT),
        "guarantees": JsonMap(TEXT),
        "role_log": JsonMap(TEXT, keys=ROLE),
        "clean_exits": JsonList(INT),
        "own_signal_is_clean": BOOL,
        "connections": OneOf(("promised", "usual", "may_close")),
    },
    {"survives_power": BOOL, "power_loses_s": SECONDS, "elections": Maybe(ELECTIONS)},
)
TIME_LIMITS = JsonObject(
    {"how": TEXT, "default_factor": NUMBER, "user_factor": NUMBER, "measured": JsonMap(NUMBER)}
)
META = JsonObject(
    {
        "format": INT,
        "kvsim": TEXT,
        "python": TEXT,
        "system": TEXT,
        "when": TEXT,
        "run": TEXT,
        "directory": TEXT,
        "scenario": TEXT,
        "cell": JsonMap(TEXT),
        "title": TEXT,
        "scenario_file": TEXT,
        "cluster": TEXT,
        "cluster_file": TEXT,
        "seed": INT,
        "vars": JsonMap(TEXT),
        "variables": JsonMap(TEXT),
        "checks": JsonList(TEXT),
        "repeat_command": TEXT,
        "attached": BOOL,
        "program_replaced": BOOL,
        "time_limits": TIME_LIMITS,
        "lag": JsonObject({"follower": OneOf(("must", "may", "never")), "within_s": SECONDS}),
        "preloaded": Maybe(TEXT),
        "nodes": JsonMap(NODE_PLAN, keys=NAME),
    }
)

# The size in bytes and the SHA-256 of a file.
DIGEST = JsonObject({"bytes": COUNT, "sha256": TEXT}, closed=True)
DIGESTS = JsonMap(DIGEST)

INCARNATION: Mapping[str, JsonType] = {"node": TEXT, "incarnation": POSITIVE}
LOG_LINE = JsonObject({"line": POSITIVE, "offset": COUNT, "text": TEXT}, {"file": TEXT})
PROBES = JsonObject(
    {},
    {
        "log": LOG_LINE,
        "port": JsonObject({"port": COUNT}, {"pid": Maybe(INT)}, closed=True),
        "ping": JsonObject({}, {"sent": BYTES, "received": BYTES}, closed=True),
    },
)
READY = JsonObject({**INCARNATION, "probes": PROBES})
TRAITS = JsonObject(
    {
        "ends_nodes": OneOf(("no", "may", "always")),
        "damages_data": BOOL,
        "may_refuse": BOOL,
        "preloads": BOOL,
    },
    {"cuts_power": BOOL},
    closed=True,
)

EVENTS: Mapping[str, JsonObject] = {
    # --- nodes --------------------------------------------------------------------------------
    "spawn": JsonObject(
        {
            **INCARNATION,
            "pid": INT,
            "start_ticks": INT,
            "argv": JsonList(TEXT),
            "address": TEXT,
            "attached": BOOL,
        },
        {"ready_within_s": NUMBER},
    ),
    "ready": READY,
    "cluster_ready": READY,
    "start_failed": JsonObject(
        {**INCARNATION, "why": TEXT, "missing": JsonList(TEXT), "message": TEXT},
        {"unmatched": JsonMap(TEXT), "log": TEXT},
    ),
    "adopted": JsonObject(
        {**INCARNATION, "pid": INT, "start_ticks": INT, "pid_file": Maybe(TEXT), "launched": INT}
    ),
    "log": JsonObject({**INCARNATION, "size": COUNT}),
    "usage": JsonObject(
        {**INCARNATION, "memory": COUNT, "threads": COUNT, "files": COUNT, "disk": COUNT}
    ),
    "outside_file": JsonObject({**INCARNATION, "path": TEXT, "how": TEXT}),
    "listener": JsonObject({**INCARNATION, "address": TEXT, "port": COUNT}),
    "signal": JsonObject({**INCARNATION, "signal": SIGNAL, "why": TEXT}, {"after_s": SECONDS}),
    "exit": JsonObject(
        {
            **INCARNATION,
            "status": Maybe(INT),
            "signal": Maybe(SIGNAL),
            "description": TEXT,
            "requested": BOOL,
            "flooded": BOOL,
            "tail": JsonList(TEXT),
        },
        {"tolerated": TEXT},
    ),
    "stopped": JsonObject(
        {
            **INCARNATION,
            "was_running": BOOL,
            "ignored": JsonList(TEXT),
            "killed": BOOL,
            "leftovers": JsonList(TEXT),
            "survivors": JsonList(TEXT),
            "port_open": BOOL,
            "took_s": SECONDS,
        }
    ),
    "stop_command_failed": JsonObject({**INCARNATION, "started": BOOL, "message": TEXT}),
    # --- requests -----------------------------------------------------------------------------
    "owner": JsonObject(
        {
            **INCARNATION,
            "connection": TEXT,
            "owned": BOOL,
            "pid": Maybe(INT),
            "foreign": BOOL,
            "description": TEXT,
        }
    ),
    "operation": JsonObject(
        {
            **INCARNATION,
            "id": POSITIVE,
            "step": TEXT,
            "purpose": TEXT,
            "verb": TEXT,
            "sent": BYTES,
            "received": BYTES,
            "invoked_s": SECONDS,
            "completed_s": SECONDS,
            "connection": TEXT,
            "outcome": OUTCOME,
        },
        {
            "key": TEXT,
            "value": TEXT,
            "phase": TEXT,
            "unsolicited": BYTES,
            "expected": TEXT,
            "allowed_s": SECONDS,
            "status": INT,
            "stderr": BYTES,
        },
    ),
    "unsolicited": JsonObject({**INCARNATION, "received": BYTES}),
    "silent": JsonObject(
        {
            **INCARNATION,
            "request": POSITIVE,
            "asked": TEXT,
            "kept_from_running": TEXT,
            "sent": BYTES,
        }
    ),
    "role": JsonObject(
        {
            "step": TEXT,
            "node": TEXT,
            "role": Maybe(ROLE),
            "how": TEXT,
            "fields": JsonMap(TEXT),
        }
    ),
    "limit": JsonObject({"what": TEXT, "of": TEXT, "used_s": SECONDS, "allowed_s": SECONDS}),
    # --- steps --------------------------------------------------------------------------------
    "step": JsonObject(
        {"id": TEXT, "group": TEXT, "verb": TEXT, "line": COUNT, "text": TEXT},
        {
            "at": TEXT,
            "targets": JsonList(TEXT),
            "resolved": TEXT,
            "expect": TEXT,
            "expectation": Maybe(EXPECTATION),
        },
    ),
    "step_target": JsonObject({"id": TEXT, "targets": JsonList(TEXT), "resolved": TEXT}),
    "step_end": JsonObject({"id": TEXT, "result": RESULT, "why": TEXT}),
    # --- faults -------------------------------------------------------------------------------
    "storm": JsonObject({"id": TEXT}),
    "fault_plan": JsonObject(
        {
            "id": TEXT,
            "fault": TEXT,
            "nodes": JsonList(TEXT),
            "settings": JsonMap(ANY),
            "traits": TRAITS,
            "required": BOOL,
        }
    ),
    "fault_begin": JsonObject({"id": TEXT}),
    "fault_evidence": JsonObject(
        {
            "id": TEXT,
            "subject": TEXT,
            "took_effect": Maybe(BOOL),
            "message": TEXT,
            "measured": JsonMap(ANY),
        }
    ),
    "fault_end": JsonObject({"id": TEXT, "recovered": BOOL, "messages": JsonList(TEXT)}),
    # --- loads --------------------------------------------------------------------------------
    "load_start": JsonObject(
        {
            "id": TEXT,
            "name": NAME,
            "epoch_ns": COUNT,
            "clients": COUNT,
            "mix": JsonMap(COUNT),
            "keys": JsonList(TEXT),
            "key_count": COUNT,
            "at": TEXT,
            "reads": Maybe(TEXT),
            "writes_at": JsonList(TEXT),
            "reads_at": JsonList(TEXT),
            "rate": Maybe(NUMBER),
            "timeout_s": SECONDS,
            "minima": JsonMap(Maybe(COUNT)),
        },
        {"without": JsonList(TEXT), "reconnect": ANY, "require": JsonMap(ANY)},
    ),
    "load_made": JsonObject({"name": NAME, "made": COUNT}),
    "load_reply": JsonObject({"name": NAME, "node": NAME, "verb": TEXT, "reply": TEXT}),
    "load_stop": JsonObject({"name": NAME, "counts": JsonMap(NUMBER)}),
    # --- the run ------------------------------------------------------------------------------
    "clock_gap": JsonObject({"of": TEXT, "began_s": NUMBER, "ended_s": NUMBER}),
    "digests": JsonObject({"files": DIGESTS}),
    "end": JsonObject({"how": TEXT}),
}

# Kind of event → the kind of an earlier event that must have the same value in these fields.
FOLLOWS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ready": ("spawn", ("node", "incarnation")),
    "cluster_ready": ("spawn", ("node", "incarnation")),
    "exit": ("spawn", ("node", "incarnation")),
    "log": ("spawn", ("node", "incarnation")),
    "step_target": ("step", ("id",)),
    "step_end": ("step", ("id",)),
    "fault_begin": ("fault_plan", ("id",)),
    "fault_evidence": ("fault_plan", ("id",)),
    "fault_end": ("fault_plan", ("id",)),
    "load_made": ("load_start", ("name",)),
    "load_reply": ("load_start", ("name",)),
    "load_stop": ("load_start", ("name",)),
}
