"""The draft as files a person reads and edits: node.yaml, cluster.yaml and a first scenario. Pure text."""

from __future__ import annotations

import json
from collections.abc import Mapping

from kvsim.config.program import Rule
from kvsim.doctor.first.draft import Draft

WHERE_NEXT = "# Every key of this file: docs/reference/program.md, or `kvsim schema program` for your editor."


def node_yaml(draft: Draft) -> str:
    """The program, with a comment where the author may want to change something."""
    lines = [
        "# How kvsim starts this store, knows it and speaks to it. Written by `kvsim init` from what the store did when it was tried.",
        WHERE_NEXT,
        *(f"# To be looked at: {remark}." for remark in draft.remarks),
        f"program: {_q(draft.name)}",
        "# {port}, {data_dir}, {role} and {leader.addr} are filled in for each node",
        f"start: {_list(draft.start)}",
    ]
    if draft.follower:
        lines.append(f"start_follower: {_list(draft.follower)}     # added for followers")
    if draft.log_mode != "file":
        lines.append(
            f"log: {draft.log_mode}     # its log comes late without it: the program holds it back in a buffer"
        )
    log = f"log: {_q(draft.ready_log)}, " if draft.ready_log else ""
    lines += [
        f"ready: {{{log}port: owned, within: 5s}}     # all of these; `port: owned` means by the process that was started",
        "stop: {signal: TERM, grace: 3s, exit: [0]}",
        f"speak: {draft.speak}",
        "requests:",
        *(
            f"  {verb}: {_list(request) if isinstance(request, tuple) else _q(request)}"
            for verb, request in draft.requests.items()
        ),
        "# the first pattern that fits wins; what fits none is shown byte by byte and never taken for a refusal",
        "replies:",
        *(f"  {verb}: {_rules(rules)}" for verb, rules in draft.rules.items()),
    ]
    if draft.common:
        lines.append(f"  any: {_rules(draft.common)}")
    if draft.role_log:
        lines.append(
            f"role_log: {_mapping({role: _q(line) for role, line in draft.role_log.items()})}     # what its log says of its role"
        )
    lines.append(f"capabilities: [{', '.join(draft.capabilities)}]     # what scenarios may ask of it")
    return "\n".join(lines) + "\n"


def cluster_yaml(name: str, nodes: int) -> str:
    """A leader and followers."""
    rows = [
        f"  n{at}: {{role: {'leader' if at == 1 else 'follower'}, port: {9000 + at}}}"
        for at in range(1, nodes + 1)
    ]
    head = [
        f"cluster: {_q(name)}",
        "program: node.yaml",
        "# the ports are those of `kvsim up`; `kvsim run` takes free ones",
        "nodes:",
    ]
    return "\n".join([*head, *rows]) + "\n"


def roles_yaml(draft: Draft) -> str:
    """The first scenario: who accepts a write, who refuses it, and that a refusal left no trace."""
    refused = (
        "{refused: read_only, names: leader}" if "redirect" in draft.capabilities else "{refused: read_only}"
    )
    delete = "delete" in draft.requests
    lines = [
        "scenario: roles",
        "title: The leader accepts writes, followers refuse them, a refusal leaves no trace",
        "cluster: cluster.yaml",
        "needs: [roles]",
        "vars: {k: random_key, v: random_value, w: random_value}     # drawn anew for every run",
        "steps:",
        '  - put:    {at: leader, key: "{k}", value: "{v}", expect: ok}',
        '  - get:    {at: leader, key: "{k}", expect: {value: "{v}"}}',
        f'  - put:    {{at: each follower, key: "{{k}}", value: "{{w}}", expect: {refused}}}',
    ]
    if delete:
        lines.append(f'  - delete: {{at: each follower, key: "{{k}}", expect: {refused}}}')
    lines += [
        '  - get:    {at: each follower, key: "{k}", expect: served}',
        "  - check:  {state: unchanged, nodes: all}",
    ]
    if delete:
        lines += [
            '  - delete: {at: leader, key: "{k}", expect: ok}',
            '  - get:    {at: leader, key: "{k}", expect: not_found}',
        ]
    return (
        "\n".join(lines)
        + "\nchecks: [leader_accepts_writes, writes_only_at_leader, refused_writes_leave_no_trace, no_leftovers]\n"
    )


def _rules(rules: tuple[Rule, ...]) -> str:
    return _mapping({rule.outcome: _rule(rule) for rule in rules})


def _rule(rule: Rule) -> str:
    if not rule.status:
        return _q(rule.reply or "")
    return f"{{status: {min(rule.status)}, reply: {_q(rule.reply or '')}}}"


def _mapping(entries: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def _list(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_q, words)) + "]"


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
