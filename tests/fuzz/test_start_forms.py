"""`kvsim init` on stores in drawn start forms and with drawn clients: it finds the form, and its
first run neither accuses a right store nor invents what it did.

KVSIM_FUZZ_SEED repeats a failure; KVSIM_FUZZ_STORES draws more.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.doctor.discovery.candidates import client_candidates
from kvsim.doctor.discovery.command import follower_forms, leader_forms
from kvsim.doctor.discovery.vocabulary import read_vocabulary
from tests.fuzz.mutations import fuzz_seed
from tests.fuzz.started_stores import StartStyle, draw_start, write_store

ROOT = Path(__file__).parents[2]
STORES = int(os.environ.get("KVSIM_FUZZ_STORES", "4"))
TIMEOUT_S = 240
# How many forms a program may be tried in before the right one, and a follower beside it.
LEADER_TRIES, FOLLOWER_TRIES = 40, 60


def problems_of(style: StartStyle, folder: Path) -> list[str]:
    """What `init` and its first run get wrong of a right store of this style."""
    program, client = write_store(style, folder)
    words = ["init", "--nodes", "2", "--program", program]
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", *words, *(["--client", client] if client else [])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return list(_problems(style, folder, done))


def _problems(style: StartStyle, folder: Path, done: subprocess.CompletedProcess[str]):
    if done.returncode:
        yield f"status {done.returncode}\n{done.stdout}{done.stderr}"
        return
    lines = (folder / "node.yaml").read_text().splitlines()
    capabilities = next(line for line in lines if line.startswith("capabilities"))
    for name, has_it in (
        ("roles", True),
        ("restart", style.keeps),
        # A store that ignores options, or more arguments, may be started without the leader's.
        *([("redirect", style.names_leader)] if style.strict and not style.order else []),
        ("replicates", False),
        ("forwards", False),
    ):
        if (name in capabilities) is not has_it:
            yield f"{name}: {has_it}; described: {capabilities}"
    if any("refused a put and" in line for line in lines):
        yield f"it is accused: {[line for line in lines if 'To do' in line]}"


@pytest.mark.slow
def test_drawn_start_forms_are_found_and_judged_rightly(tmp_path):
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed} KVSIM_FUZZ_STORES={STORES}")
    wrong = []
    for number in range(STORES):
        style = draw_start(random.Random(f"{seed}:{number}"))
        (folder := tmp_path / str(number)).mkdir()
        problems = problems_of(style, folder)
        if problems:
            wrong.append("\n  ".join([f"{number}: {style}", *problems]))
    assert not wrong, f"KVSIM_FUZZ_SEED={seed}\n" + "\n".join(wrong)


def takes(style: StartStyle, words: tuple[str, ...], kinds: set[str]) -> bool:
    """Whether a store of this style takes these words of a form for these kinds of options."""
    given = {name: kind for kind, name in style.given if name}
    order, rest, found = list(style.order), list(words), set()
    if style.by == "positional" and style.leads_positional:
        order.append("leader")
    while rest:
        name, equals, _ = (word := rest.pop(0)).partition("=")
        if style.role_by == "flag" and word == "--follower":
            found.add("role")
        elif name in given and equals and style.form != "separate" and len(name) > 2:
            found.add(given[name])
        elif word in given and rest and (style.form != "equals" or len(word) == 2):
            found.add(given[word])
            rest.pop(0)
        elif order and not word.startswith("-"):
            found.add(order.pop(0))
        else:
            return False
    return kinds <= found


def test_every_drawn_form_is_among_the_first_candidates(tmp_path):
    """The forms without a process: of the leader, of a follower, and of the client."""
    seed = fuzz_seed()
    for number in range(12):
        style = replace(draw_start(random.Random(f"{seed}:{number}")), strict=True, usage=True)
        (folder := tmp_path / str(number)).mkdir()
        program, client = write_store(style, folder)
        shown = f"KVSIM_FUZZ_SEED={seed} {number}: {style}"
        vocabulary = read_vocabulary((program,), folder)
        if style.by != "environment":
            needed = {kind for kind, name in style.given if name or kind in style.order}
            alone = needed - {"leader"} - ({"role"} if style.role_by != "word" else set())
            leaders = [
                form
                for form in itertools.islice(leader_forms(vocabulary), LEADER_TRIES)
                if takes(style, form.words, alone)
            ]
            assert leaders, shown
            forms = itertools.islice(follower_forms(leaders[0], vocabulary), FOLLOWER_TRIES)
            wanted = needed | ({"role"} if style.role_by == "flag" else set())
            assert any(takes(style, (*f.words, *f.follower), wanted) for f in forms), shown
        if client:
            words = (client,)
            vocabulary = read_vocabulary(words, folder)
            candidates = client_candidates(words, vocabulary, lambda w, f=folder: (f / w).is_file())
            place = (*style.client, "{port}") if style.client[-1] == "--port" else style.client
            behind = ("{key}", "{value}")
            expected = (*behind, *place) if style.client_last else (*place, "put", *behind)
            if style.client_last and not style.separate_programs:
                expected = ("put", *expected)
            elif style.separate_programs and not style.client_last:
                expected = (*place, *behind)
            puts = [candidate.put for candidate in itertools.islice(candidates, 60)]
            assert (client, *expected) in puts, shown
