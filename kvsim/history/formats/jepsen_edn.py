"""Jepsen's `history.edn` of a register test: reads, writes and compare-and-sets. Maelstrom's, too.

Independent keys (`[k v]`, `[k [old new]]`):

    {:process 0, :type :invoke, :f :write, :value [k v], :time 12, :index 0}

The key-value data of Porcupine:

    {:process 0, :type :ok, :f :get, :key "k", :value "v"}

`:ok` happened, `:fail` did not, `:info` may have. Whether a value is a pair [key value] follows
from the first write. nil is absent; every other value, the empty string too, is a value. Without
times, the order of the lines is the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kvsim.history import edn
from kvsim.history.history import History
from kvsim.history.jepsen_events import JepsenEvents
from kvsim.history.pairing import FormatError

# Something that begins as EDN does, and holds an operation.
HEAD = re.compile(r"(?:\s|;[^\n]*\n)*[\[({#]")


def matches(head: str) -> bool:
    """Whether text that begins like this is such a history."""
    return bool(HEAD.match(head)) and ":process" in head and ":type" in head


def read(lines: Iterable[str], file: str = "history.edn") -> History:
    """The operations: one vector or list of maps, or one map per line. Raises FormatError."""
    events = JepsenEvents(file)
    try:
        for line, entry in edn.values(lines):
            events.add_map(entry, line)
    except edn.EdnError as error:
        raise FormatError(file, error.line, error.what) from error
    return events.finished()
