"""The language of loads as tables: what `load: {start: …}` may say. Bottom layer; loads are driven by kvsim/load/."""

from __future__ import annotations

from kvsim.config.common_words import WORD
from kvsim.config.shape import Field, Int, MapOf, Record, Text, TimeLimit, Word
from kvsim.limits import Own

WHERE = {
    "leader": "the node that is the leader when the load starts; clients follow the leadership",
    "follow redirects": "clients begin anywhere and go where refusals point",
    "any": "clients are dealt out over all nodes and stay there",
    "each follower": "clients are dealt out over the followers and stay there",
}
NAME = Text("a name", pattern=WORD)
COUNT = Int(0, 10**9, "a number of operations")
MINIMA = Record(
    "minima",
    {
        "total": Field(COUNT, "operations in all", default=1, shows="1"),
        "before": Field(COUNT, "before each fault", default=1, shows="1"),
        "during": Field(COUNT, "during each fault", default=1, shows="1"),
        "after": Field(COUNT, "after each fault", default=1, shows="1"),
        "reads": Field(COUNT, "reads that showed a value which the load wrote", default=1, shows="1"),
        "cas": Field(COUNT, "compare-and-sets that met what they expected", shows="1 where `mix` has some"),
    },
    bare="total",
)
MIX = MapOf(
    Int(0, 1_000_000, "a weight"), key="put|get|delete|cas", key_means="put, get, delete or cas", least=1
)

FIELDS: dict[str, Field] = {
    "start": Field(NAME, "start a load of this name"),
    "stop": Field(NAME, "stop it; what is under way is answered first, or is unknown"),
    "clients": Field(
        Int(1, 10_000, "a number of clients"),
        "clients, each with one request at a time",
        default=5,
        shows="5",
    ),
    "mix": Field(
        MIX,
        "how often which verb; a cas expects the value that its client saw last, and is a get while it saw none",
        default={"put": 50, "get": 50},
        shows="{put: 50, get: 50}",
    ),
    "keys": Field(Int(1, 1_000_000, "a number of keys"), "how many keys", default=10, shows="10"),
    "skew": Field(
        Text("a number", pattern=r"[0-9]+(\.[0-9]+)?"),
        "Zipf exponent: 0 is even, 1 is usual",
        default="0",
        shows="0",
    ),
    "rate": Field(
        Int(1, 1_000_000, "operations a second"),
        "of all clients together",
        shows="each asks again when it is answered",
    ),
    "at": Field(
        Word(WHERE),
        "where clients write, and read unless `reads` says otherwise",
        default="leader",
        shows="leader",
    ),
    "reads": Field(
        Word({"any": WHERE["any"], "each follower": WHERE["each follower"]}),
        "where clients read",
        shows="as `at`",
    ),
    "timeout": Field(TimeLimit(), "after this an operation is unknown", default=Own(1.0), shows="1s"),
    "minima": Field(MINIMA, "with fewer operations the run is invalid", shows="1 each"),
}
ONLY_AT_START = tuple(name for name in FIELDS if name not in ("start", "stop"))
