"""The draft as files that a person reads and edits: node.yaml, cluster.yaml, a first scenario."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from kvsim.config.program import ReplyRule
from kvsim.doctor.discovery.draft import STOP_TIMEOUT_S, Draft
from kvsim.doctor.discovery.reply_rules import BETWEEN_MAX

CHECKS = (
    "leader_accepts_writes",
    "writes_only_at_leader",
    "refused_writes_leave_no_trace",
    "no_leftovers",
)
# What can be found out, in the order in which it is written.
CAPABILITIES = ("roles", "restart", "redirect", "replicates", "leader_reads_only", "forwards")
TOLERANT = rf"\W{{1,{BETWEEN_MAX}}}"
READY_MIN_S = 5
# The limit for being ready, as a multiple of the time that was measured.
READY_FACTOR = 10


def node_yaml(draft: Draft) -> str:
    """The program, with a comment where the author may want to change something."""
    lines = [
        "# How kvsim starts this store, recognizes it and talks to it.",
        "# `kvsim init` wrote this from what the store did.",
        "# Every key: docs/reference/program.md, or `kvsim schema program` for your editor.",
        *(f"# To do: {remark}." for remark in draft.remarks),
        f"program: {_quoted(draft.name)}",
        *_start_lines(draft),
        *_log_lines(draft),
        *_life_lines(draft),
        *_protocol_lines(draft),
    ]
    if draft.role_log:
        patterns = {role: _quoted(line) for role, line in draft.role_log.items()}
        lines.append(f"role_log: {_mapping(patterns)}     # what its log says of its role")
    known = [name for name in CAPABILITIES if name in draft.capabilities]
    capabilities = ", ".join(known)
    lines.append(f"capabilities: [{capabilities}]     # what scenarios may require of it")
    return _text(lines)


def _start_lines(draft: Draft) -> list[str]:
    form = draft.form
    lines = [
        "# {port}, {data_dir}, {role} and {leader.addr} are filled in for each node",
        f"start: {_list((*draft.command, *form.words))}",
    ]
    if form.leader:
        lines.append(f"start_leader: {_list(form.leader)}     # added for the leader")
    if form.follower:
        lines.append(f"start_follower: {_list(form.follower)}     # added for followers")
    if form.names_role and form.role_words != ("leader", "follower"):
        leader, follower = form.role_words
        words = f"{{leader: {_quoted(leader)}, follower: {_quoted(follower)}}}"
        lines.append(f"role_words: {words}     # what {{role}} becomes")
    if form.env:
        lines.append(f"env: {_variables(form.env)}")
    if form.env_follower:
        lines.append(f"env_follower: {_variables(form.env_follower)}     # besides, for followers")
    return lines


def _variables(pairs: Sequence[tuple[str, str]]) -> str:
    return _mapping({name: _quoted(text) for name, text in pairs})


def _log_lines(draft: Draft) -> list[str]:
    if draft.log_mode == "file":
        return []
    question = draft.questions.get("log", "the program keeps its log in a buffer")
    return [f"# {question}; with that, this line can go", f"log: {draft.log_mode}"]


def _life_lines(draft: Draft) -> list[str]:
    log = f"log: {_quoted(draft.ready_log)}, " if draft.ready_log else ""
    ready_s = max(READY_MIN_S, math.ceil(draft.ready_s * READY_FACTOR))
    lines = [
        f"# all of these; `port: owned` means by the process that was started; it took "
        f"{draft.ready_s:.2f}s here",
        f"ready: {{{log}port: owned, within: {ready_s}s}}",
    ]
    if "stop" in draft.questions:
        lines.append(f"# Question: {draft.questions['stop']}")
    elif 143 in draft.exits:
        lines.append("# 143: it has no handler and dies by the SIGTERM that kvsim sends")
    exits = ", ".join(map(str, draft.exits))
    lines.append(f"stop: {{signal: TERM, grace: {STOP_TIMEOUT_S:g}s, exit: [{exits}]}}")
    if "keeps" in draft.questions:
        lines.append(f"# Question: {draft.questions['keeps']}")
    if draft.keeps_nothing:
        lines.append("keeps: nothing     # neither a stop nor a kill left any data")
    return lines


def _protocol_lines(draft: Draft) -> list[str]:
    settings = "".join(f", {name}: {_flow(value)}" for name, value in draft.settings.items())
    speak = draft.speak or "lines"
    lines = [
        f"speak: {{kind: {speak}{settings}}}" if settings else f"speak: {speak}",
        "requests:",
        *(f"  {verb}: {_flow(request)}" for verb, request in draft.requests.items()),
    ]
    if not draft.requests:
        lines[-1:] = [
            "# To do: how a key is set and read",
            'requests: {put: "PUT {key} {value}", get: "GET {key}"}',
        ]
    if not draft.rules:
        return [
            *lines,
            "# To do: what it answers; each outcome takes a pattern, the first match wins:",
            '# replies: {put: {ok: "^OK$"}, '
            'get: {value: "^(?P<value>.*)$", not_found: "^NOT_FOUND$"}}',
        ]
    lines += [
        "# the first matching pattern wins; a reply without a match is unknown, never a refusal",
        "replies:",
        *(f"  {verb}: {_rules(rules)}" for verb, rules in draft.rules.items()),
    ]
    if "refused" in draft.questions:
        lines.append(f"  # Question: {draft.questions['refused']}")
    if draft.common:
        if any(TOLERANT in (rule.reply or rule.stderr or "") for rule in draft.common):
            lines.append(f"  # {TOLERANT} is any punctuation: the words count, not the letter")
        lines.append(f"  any: {_rules(draft.common)}")
    return lines


def cluster_yaml(name: str, nodes: int) -> str:
    """A leader and followers."""
    rows = [
        f"  n{number}: {{role: {'leader' if number == 1 else 'follower'}, port: {9000 + number}}}"
        for number in range(1, nodes + 1)
    ]
    head = [
        f"cluster: {_quoted(name)}",
        "program: node.yaml",
        "# the ports are those of `kvsim up`; `kvsim run` takes free ones",
        "nodes:",
    ]
    return _text([*head, *rows])


def roles_yaml(draft: Draft) -> str:
    """The first scenario: who accepts a write, who refuses it, and that a refusal leaves no trace.

    It deletes nothing when the program has no delete. Where the words of a refusal were not
    understood, any refusal is expected.
    """
    names_leader = ", names: leader" if "redirect" in draft.capabilities else ""
    refused = f"{{refused: read_only{names_leader}}}"
    if "refused" in draft.questions:
        refused = "refused"
    if "forwards" in draft.capabilities:
        return _forwards_yaml()
    delete = "delete" in draft.requests
    reads = "leader_reads_only" not in draft.capabilities
    lines = [
        "scenario: roles",
        "title: The leader accepts writes, followers refuse them, a refusal leaves no trace",
        "cluster: cluster.yaml",
        "needs: [roles]",
        "# other values in every run",
        "vars: {k: random_key, v: random_value, w: random_value}",
        "steps:",
        '  - put:    {at: leader, key: "{k}", value: "{v}", expect: ok}',
        '  - get:    {at: leader, key: "{k}", expect: {value: "{v}"}}',
        f'  - put:    {{at: each follower, key: "{{k}}", value: "{{w}}", expect: {refused}}}',
    ]
    if delete:
        lines.append(f'  - delete: {{at: each follower, key: "{{k}}", expect: {refused}}}')
    if reads:
        lines.append('  - get:    {at: each follower, key: "{k}", expect: served}')
    lines.append("  - check:  {state: unchanged, nodes: all}")
    if delete:
        lines += [
            '  - delete: {at: leader, key: "{k}", expect: ok}',
            '  - get:    {at: leader, key: "{k}", expect: not_found}',
        ]
    return _text([*lines, f"checks: [{', '.join(CHECKS)}]"])


def _forwards_yaml() -> str:
    """The first scenario of a store whose followers pass writes on."""
    return _text(
        [
            "scenario: roles",
            "title: The leader has what a follower accepted",
            "cluster: cluster.yaml",
            "needs: [roles, forwards]",
            "# other values in every run",
            "vars: {k: random_key, v: random_value, w: random_value}",
            "steps:",
            '  - put:    {at: leader, key: "{k}", value: "{v}", expect: ok}',
            '  - put:    {at: n2, key: "{k}", value: "{w}", expect: ok}',
            '  - get:    {at: leader, key: "{k}", expect: {value: "{w}"}}',
            "checks: [leader_accepts_writes, writes_only_at_leader, no_leftovers]",
        ]
    )


def _rules(rules: tuple[ReplyRule, ...]) -> str:
    return _mapping({rule.outcome: _rule(rule) for rule in rules})


def _rule(rule: ReplyRule) -> str:
    parts: dict[str, str] = {}
    if rule.status:
        statuses = sorted(rule.status)
        one = len(statuses) == 1
        parts["status"] = str(statuses[0]) if one else f"[{', '.join(map(str, statuses))}]"
    if rule.reply is not None:
        parts["reply"] = _quoted(rule.reply)
    if rule.headers:
        parts["headers"] = _mapping({name: _quoted(text) for name, text in rule.headers.items()})
    if rule.stderr is not None:
        parts["stderr"] = _quoted(rule.stderr)
    return parts["reply"] if list(parts) == ["reply"] else _mapping(parts)


def _flow(value: object) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, Mapping):
        return _mapping({str(name): _flow(part) for name, part in value.items()})
    if isinstance(value, (list, tuple)):
        return _list(map(str, value))
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _mapping(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quoted, words)) + "]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
