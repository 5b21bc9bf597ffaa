"""Meet a store: learn how it starts, speaks, refuses and what it keeps. The order of questions; each is asked in a file of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from kvsim.doctor.first.draft import Draft
from kvsim.doctor.first.speaks import KEY, VALUE, learn_refusal, learn_speech
from kvsim.doctor.first.starts import learn_follower, learn_start
from kvsim.doctor.first.trial import ask, started
from kvsim.doctor.patient import Ward
from kvsim.errors import NodeFailed

ROLE_WORDS = {
    "leader": re.compile(r"leader|primary|master", re.I),
    "follower": re.compile(r"follower|replica|slave|secondary", re.I),
}


def meet(program: tuple[str, ...], client: tuple[str, ...], folder: Path) -> Draft:
    """All that can be learned of a store by trying it; commands are seen from `folder`. Raises UsageError."""
    draft = learn_start(program, folder)
    with started(draft, folder) as ward:
        draft = learn_speech(draft, folder, ward, client)
        draft = _learn_restart(draft, folder, ward)
    best = draft
    for candidate in learn_follower(draft, folder):
        with started(candidate, folder, followers=1) as ward:
            best = _with_role_log(learn_refusal(candidate, folder, ward), ward)
        if "redirect" in best.capabilities or "--leader={leader.port}" in candidate.follower:
            break
    return best


def _learn_restart(draft: Draft, folder: Path, ward: Ward) -> Draft:
    ask(ward, draft, folder, "n1", "put", KEY, VALUE)
    try:
        ward.launcher.kill("n1")
        ward.launcher.start("n1")
    except NodeFailed:
        return replace(
            draft,
            remarks=(
                *draft.remarks,
                "it did not start again on its port after a kill (kvsim doctor says more)",
            ),
        )
    got = ask(ward, draft, folder, "n1", "get", KEY)
    keeps = got is not None and VALUE in got.text
    return replace(draft, capabilities=(*draft.capabilities, "restart")) if keeps else draft


def _with_role_log(draft: Draft, ward: Ward) -> Draft:
    """The word for its role in each node's own log, where no line of the log speaks of the other role."""
    found = {}
    for node, role in (("n1", "leader"), ("n2", "follower")):
        lines = ward.launcher.nodes[node].log.last(20)
        match = next((match for line in lines if (match := ROLE_WORDS[role].search(line))), None)
        if match:
            found[role] = match.group()
    other = {"leader": "n2", "follower": "n1"}
    clear = {
        role: word
        for role, word in found.items()
        if not any(word in line for line in ward.launcher.nodes[other[role]].log.last(20))
    }
    return replace(draft, role_log=clear)
