"""Mutants of histories in every format: a history, or an error of the file with its line."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutations import changed_bytes, fuzz_seed
from tests.history.test_any_history_file import PIECES, SEEDS, attempt

BYTES = [piece if isinstance(piece, bytes) else bytes([piece]) for piece in PIECES]


def read_any(name: str, count: int) -> None:
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed}")
    rng = random.Random(seed)
    for number in range(count):
        data = changed_bytes(rng.choice(SEEDS[name]), rng, BYTES)
        try:
            attempt(rng.choice([name, None]), data)
        except Exception as error:
            error.add_note(f"{name}: seed {seed}, number {number}: {data[:2000]!r}")
            raise


@pytest.mark.parametrize("name", SEEDS)
def test_any_history(name: str) -> None:
    read_any(name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_many_histories(name: str) -> None:
    read_any(name, 5_000)
