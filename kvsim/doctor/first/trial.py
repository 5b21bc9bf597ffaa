"""Start a draft as one leader or as leader and follower, and ask it things. Every wait has a limit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kvsim.client.exchange import Exchange, Request
from kvsim.doctor.first.draft import Draft, program_of
from kvsim.doctor.patient import Patient, Ward
from kvsim.errors import KvsimError

ASK_S = 1.0


@contextlib.contextmanager
def started(draft: Draft, folder: Path, *, followers: int = 0) -> Iterator[Ward]:
    """A leader, and so many followers. Raises NodeFailed, SpawnError."""
    with Patient(program_of(draft, folder), followers=followers).ward() as ward:
        yield ward


def ask(
    ward: Ward, draft: Draft, folder: Path, node: str, verb: str, key: str, value: str = ""
) -> Exchange | None:
    """What came back, by the draft's requests; None when nothing whole did."""
    from kvsim.client.connect import connect

    names = ward.launcher.names(node)
    try:
        client = connect(program_of(draft, folder), *ward.launcher.nodes[node].address, names=names)
        try:
            exchange = client.ask(Request(verb, {"key": key, "value": value}), ASK_S).exchange
        finally:
            client.close()
    except KvsimError:
        return None
    return exchange if exchange.failure is None else None
