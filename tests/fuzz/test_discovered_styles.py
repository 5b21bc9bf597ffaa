"""`kvsim init` on stores in drawn styles: what it describes is what they do.

The stores run in threads here, so that a style takes a few hundredths of a second; how programs are
started is tried in tests/learner. KVSIM_FUZZ_SEED repeats a failure; KVSIM_FUZZ_STORES draws more.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any

import pytest

from kvsim.client.connect import connect
from kvsim.client.exchange import Exchange, Request
from kvsim.doctor.discovery.draft import Draft, program_of
from kvsim.doctor.discovery.protocol import Attempts, ProtocolSearch
from kvsim.doctor.discovery.reply_rules import effect_of
from kvsim.doctor.discovery.role_search import observe_roles
from kvsim.doctor.discovery.vocabulary import Vocabulary
from kvsim.errors import KvsimError
from kvsim.history.outcome import Outcome
from kvsim.timeouts import PLAIN
from tests.fuzz.mutations import fuzz_seed
from tests.fuzz.random_stores import Server, Style, draw_style

STORES = int(os.environ.get("KVSIM_FUZZ_STORES", "8"))
FOLDER: Any = None


@dataclass
class ThreadProbe:
    """A StartedDraft whose nodes are threads of this process."""

    servers: dict[str, Server]
    timeouts = PLAIN
    took_s = 0.1

    def ask(
        self, draft: Draft, node: str, verb: str, key: str, value: str = "", *, guess: bool = False
    ) -> Exchange | None:
        response = self.response(draft, node, verb, key, value, 0.4 if guess else 2.0)
        return response.exchange if response else None

    def response(self, draft, node, verb, key, value="", timeout_s=2.0):
        names = {"host": "127.0.0.1", "port": str(self.port(node)), "name": node}
        names["addr"] = f"127.0.0.1:{self.port(node)}"
        try:
            client = connect(program_of(draft, FOLDER), "127.0.0.1", self.port(node), names=names)
            try:
                return client.ask(Request(verb, {"key": key, "value": value}), timeout_s)
            finally:
                client.close()
        except KvsimError:
            return None

    def outcome(self, draft: Draft, node: str, verb: str, key: str, value: str = "") -> Outcome:
        response = self.response(draft, node, verb, key, value)
        assert response is not None, f"{verb} cannot be sent"
        return response.outcome

    def port(self, node: str) -> int:
        return self.servers[node].port

    def log_lines(self, node: str, count: int) -> list[str]:
        return ["a line"]


def vocabulary_of(style: Style) -> Vocabulary:
    """What the text of its program has."""
    words = [style.put, style.get, style.delete]
    paths = [f'"{style.http["prefix"]}"'] if style.protocol == "http" else []
    return Vocabulary(" ".join([*words, *(word.upper() for word in words), *paths]))


def problems_of(style: Style) -> list[str]:
    """What `init` describes wrongly in a store of this style."""
    leader = Server(style)
    follower = Server(style, leader.port)
    if style.reading == "replicates":
        leader.store.followers.append(follower.store)
    try:
        return list(_compare(style, ThreadProbe({"n1": leader, "n2": follower})))
    finally:
        leader.close()
        follower.close()


def _compare(style: Style, probe: Any):
    search = ProtocolSearch(probe, vocabulary_of(style), Attempts())
    learned = search.find(Draft("store", ("./store",)), ())
    if learned is None:
        yield f"no protocol was found; last: {search.attempts.lines[-3:]}"
        return
    found = observe_roles(learned, learned.draft, probe)
    draft = found.draft
    if draft.speak != style.protocol:
        yield f"it speaks {style.protocol}, not {draft.speak}"

    def check(what: str, outcome: Outcome, effect: str, value: str | None = None) -> list[str]:
        got = effect_of(outcome), outcome.value
        if got == (effect, value):
            return []
        return [f"{what}: {effect} {value or ''} was read as {got} ({outcome.detail})"]

    ask = probe.outcome
    for value in ("v-1", "two words", "1234567", "a=b;c", "v-1"):
        yield from check(f"put {value}", ask(draft, "n1", "put", "k-1", value), "ok")
        yield from check(f"get {value}", ask(draft, "n1", "get", "k-1"), "value", value)
    yield from check("get nothing", ask(draft, "n1", "get", "k-2"), "not_found")
    has_delete = bool(style.delete) if style.protocol in ("lines", "frames") else True
    if has_delete is not ("delete" in draft.requests):
        yield f"delete: the store has it: {has_delete}; described: {draft.requests}"
    if has_delete and "delete" in draft.requests:
        yield from check("delete", ask(draft, "n1", "delete", "k-1"), "ok")
        yield from check("get deleted", ask(draft, "n1", "get", "k-1"), "not_found")
        again = effect_of(ask(draft, "n1", "delete", "k-1"))
        allowed = _of_missing(style)
        if again not in allowed:
            yield f"delete again: {allowed} was read as {again}"
    yield from _compare_follower(style, probe, draft, ask, check)


def _of_missing(style: Style) -> tuple[str, ...]:
    if style.protocol == "resp":
        return ("not_found",)
    if style.protocol == "http":
        differs = style.http["not_deleted"] != style.http["deleted"]
        return ("not_found",) if differs else ("ok", "not_found")
    return ("not_found",) if style.keeps_missing_apart else ("ok",)


def _compare_follower(style: Style, probe: Any, draft: Draft, ask: Any, check: Any):
    text, says_so = style.refusal
    if style.protocol == "http":
        text, says_so = style.http["body"], style.http["refused"][1]
        says_so = bool(text) or style.http["refused"][0] == 307
    names = "{port}" in text or "{addr}" in text
    names = names or (style.protocol == "http" and style.http["refused"][0] == 307)
    expected = "read_only" if says_so or names else "refused"
    verbs = [verb for verb in ("put", "delete") if verb in draft.requests]
    if style.reading == "refuses" and expected == "read_only":
        verbs.append("get")
    for verb in verbs:
        outcome = ask(draft, "n2", verb, "k-3", "w-1" if verb == "put" else "")
        yield from check(f"{verb} at the follower", outcome, expected)
        if names and outcome.leader is None:
            yield f"{verb} at the follower: the leader that it names was not read"
        if names and outcome.leader and str(probe.port("n1")) not in outcome.leader:
            yield f"{verb} at the follower: leader {outcome.leader}, not {probe.port('n1')}"
    if "roles" not in draft.capabilities:
        yield "roles are not claimed"
    if ("refused" in draft.questions) is not (expected == "refused"):
        yield f"a question about the refusal: {draft.questions}"
    if style.reading == "replicates" and "replicates" not in draft.capabilities:
        yield "that it replicates was not seen"


@pytest.mark.slow
def test_drawn_styles_are_described_rightly():
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed} KVSIM_FUZZ_STORES={STORES}")
    wrong = []
    for number in range(STORES):
        style = draw_style(random.Random(f"{seed}:{number}"))
        problems = problems_of(style)
        if problems:
            wrong.append("\n  ".join([f"{number}: {style}", *problems]))
    assert not wrong, f"KVSIM_FUZZ_SEED={seed}\n" + "\n".join(wrong)
