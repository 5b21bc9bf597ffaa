"""Draw a scenario's variables from the seed.

Each depends on the seed and its own name only, so that a change of one changes no other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from kvsim.config.scenario_schema import TEXT_KIND

SEED_MAX = 2**31 - 1

KINDS: dict[str, Callable[[random.Random], str]] = {
    "random_key": lambda rng: f"k-{rng.getrandbits(48):012x}",
    "random_value": lambda rng: f"v-{rng.getrandbits(64):016x}",
}

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def draw(variables: Mapping[str, str], seed: int) -> dict[str, str]:
    """Name → value. A kind of KINDS or TEXT_KIND is drawn; any other text is the value itself."""
    return {name: _draw(kind, random.Random(f"{seed}:{name}")) for name, kind in variables.items()}


def _draw(kind: str, rng: random.Random) -> str:
    length = TEXT_KIND.fullmatch(kind)
    if length:
        return "".join(rng.choices(LETTERS, k=int(length[1])))
    return KINDS[kind](rng) if kind in KINDS else kind


def new_seed() -> int:
    """A seed from the operating system, short enough to be typed."""
    return random.SystemRandom().randint(1, SEED_MAX)
