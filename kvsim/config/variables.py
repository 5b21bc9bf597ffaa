"""Draw a scenario's variables from the seed. Each depends on the seed and its own name only, so that editing one changes no other."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

SEED_MAX = 2**31 - 1

KINDS: dict[str, Callable[[random.Random], str]] = {
    "random_key": lambda rng: f"k-{rng.getrandbits(48):012x}",
    "random_value": lambda rng: f"v-{rng.getrandbits(64):016x}",
}


def draw(variables: Mapping[str, str], seed: int) -> dict[str, str]:
    """Name → value. A kind from KINDS is drawn; anything else is a plain word and stands for itself."""
    return {name: _draw(kind, random.Random(f"{seed}:{name}")) for name, kind in variables.items()}


def _draw(kind: str, rng: random.Random) -> str:
    return KINDS[kind](rng) if kind in KINDS else kind


def new_seed() -> int:
    """A seed from the operating system, short enough to be typed."""
    return random.SystemRandom().randint(1, SEED_MAX)
