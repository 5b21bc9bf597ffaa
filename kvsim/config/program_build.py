"""From what was read of a node.yaml, without a problem, to the frozen `Program`. Pure; the reading stands in `program_file.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.config.process_words import PROBES
from kvsim.config.program import (
    Command,
    Log,
    Probe,
    Program,
    Query,
    Ready,
    Role,
    RoleLog,
    Rule,
    Speak,
    Stop,
    StopStep,
)
from kvsim.config.protocol_words import OUTCOMES
from kvsim.config.shape import Values
from kvsim.limits import Own

STATUS_FIELDS = ("role", "leader", "keys", "digest", "epoch", "index", "applied", "pid")


def build(values: Values, folder: Path) -> Program:
    """The frozen value; `values` was read without a problem."""
    role_words = {Role(role): word for role, word in (values.get("role_words") or {}).items() if word}
    requests = values["requests"]
    return Program(
        name=values["program"],
        folder=folder.resolve(),
        start=_start(values),
        role_words=role_words,
        cwd=values["cwd"],
        env=values["env"] or {},
        env_inherit=values["env_inherit"],
        user=values["user"],
        files=values["files"] or {},
        ports=values["ports"],
        init=tuple(map(_command, values["init"])),
        after_start=tuple(map(_command, values["after_start"])),
        order=values["order"],
        ready=_ready(values["ready"], Ready(all_of=(Probe("port", {"state": "owned"}),))),
        cluster_ready=_ready(values["cluster_ready"], Ready(within_s=Own(20.0))),
        log=Log(values["log"]["mode"], values["log"]["extra"]) if values["log"] else Log(),
        role_log=RoleLog({Role(role): text for role, text in (values["role_log"] or {}).items() if text}),
        stop=_stop(values["stop"]),
        speak=_speak(values["speak"]),
        requests=requests,
        replies=_replies(values["replies"]),
        status=_status(values["status"], "status" in requests, role_words),
        capabilities=frozenset(values["capabilities"]),
        promises=values["promises"],
        options=values["options"],
    )


def _start(values: Values) -> dict[Role, tuple[str, ...]]:
    start = values["start"]
    base = {role: start if isinstance(start, tuple) else start[role.value] for role in Role}
    return {role: (*base[role], *values[f"start_{role}"]) for role in Role}


def _command(value: Any) -> Command:
    if isinstance(value, tuple):
        return Command(value)
    roles = frozenset(map(Role, value["roles"] or Role))
    return Command(value["run"], roles, value["needs"], value["within"])


def _ready(values: Values | None, default: Ready) -> Ready:
    if values is None:
        return default
    any_of = tuple(probe for one in values["any"] or () for probe in _probes(one))
    all_of = _probes(values)
    return Ready(all_of or (() if any_of else default.all_of), any_of, values["within"])


def _probes(values: Values) -> tuple[Probe, ...]:
    return tuple(Probe(kind, _settings(values[kind])) for kind in PROBES if values.get(kind))


def _settings(value: Any) -> dict[str, object]:
    if isinstance(value, tuple):  # a bare command
        return {"run": value, "exit": (0,)}
    if value is True:
        return {}
    given = {name: setting for name, setting in value.items() if setting is not None}
    return {"request" if name == "send" else name: setting for name, setting in given.items()}


def _stop(values: Values | None) -> Stop:
    if values is None:
        return Stop()
    if values["steps"]:
        steps = tuple(StopStep(one["signal"], one["command"] or (), one["wait"]) for one in values["steps"])
    elif values["command"]:
        steps = (StopStep(None, values["command"], values["grace"]),)
    else:
        steps = (StopStep(values["signal"] or "TERM", (), values["grace"]),)
    return Stop(steps, frozenset(values["exit"]), values["pid_file"])


def _speak(values: Values | None) -> Speak:
    if values is None:
        return Speak("lines")
    return Speak(values["kind"], {name: value for name, value in values.items() if name != "kind"})


def _replies(values: Values | dict[str, Any]) -> dict[str, tuple[Rule, ...]]:
    """Verb → rules. Outcomes that stand outside every verb are rules of `any`."""
    if not isinstance(values, Values):
        return {}
    verbs = [key.text for key, _ in values.node.entries if key.text not in OUTCOMES]
    replies = {verb: _rules(values[verb]) for verb in verbs}
    loose = _rules(values)
    return {**replies, "any": replies.get("any", ()) + loose} if loose else replies


def _rules(outcomes: Values) -> tuple[Rule, ...]:
    """One rule for each pattern, in the order written."""
    written = [key.text for key, _ in outcomes.node.entries if key.text in OUTCOMES]
    return tuple(_rule(outcome, rule) for outcome in written for rule in outcomes[outcome])


def _rule(outcome: str, rule: Values) -> Rule:
    return Rule(
        outcome, rule["reply"], frozenset(rule["status"] or ()), rule["headers"] or {}, rule["stderr"]
    )


def _status(values: Values | None, has_request: bool, role_words: Mapping[Role, str]) -> Query | None:
    words = {role.value: role for role in Role} | {word.lower(): role for role, word in role_words.items()}
    if values is None:
        return Query("status", {name: f"$.{name}" for name in STATUS_FIELDS}, words) if has_request else None
    given = {word.lower(): Role(role) for word, role in (values["words"] or {}).items()}
    fields = {
        name: path for name, path in values.items() if name not in ("request", "words") and path is not None
    }
    return Query(values["request"], fields or {name: f"$.{name}" for name in STATUS_FIELDS}, words | given)
