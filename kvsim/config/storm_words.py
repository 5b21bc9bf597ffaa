"""The language of storms as a table: faults drawn from the seed, one after another. Bottom layer; draws nothing itself."""

from __future__ import annotations

from kvsim.config.fault_words import FAULTS, LINKS
from kvsim.config.shape import Duration, Field, Int, ListOf, MapOf, Word

IN_STORMS = tuple(kind for kind in FAULTS if kind != "crash")  # a crash damages files, and says which
OF_PROCESSES = tuple(kind for kind in IN_STORMS if kind not in LINKS)
VICTIMS = {
    "leader": "the node that is the leader then",
    "one follower": "one of the others, drawn from the seed",
    "minority": "as many as can be without a majority, drawn from the seed",
    "majority": "more than half, drawn from the seed",
}
FIELDS: dict[str, Field] = {
    "for": Field(Duration(), "how long it lasts, about", required=True),
    "last": Field(Duration(), "how long one fault lasts, give or take half", default=0.3, shows="300ms"),
    "quiet": Field(
        Duration(), "how long it is quiet between two, give or take half", default=0.3, shows="300ms"
    ),
    "faults": Field(
        MapOf(Int(0, 1000, "a weight"), key="|".join(IN_STORMS), key_means="a kind of fault", least=1),
        "which, and how often beside the others",
        shows="{kill: 1, pause: 1}, and {partition: 1, delay: 1} where links can be broken",
    ),
    "hits": Field(
        ListOf(Word(VICTIMS), least=1, one=True),
        "whom faults hit; each is drawn as often",
        default=("leader", "one follower"),
        shows="[leader, one follower]",
    ),
}
