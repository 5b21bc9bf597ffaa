"""Operations of a load as rows while it runs, and as columns afterwards. Appends only; knows nothing of sockets or of what is right."""

from __future__ import annotations

from array import array

from kvsim.history.operations import (
    ABSENT,
    CAS,
    CAS_MET,
    CAS_MISSED,
    COLUMNS,
    NEVER,
    OK,
    REFUSED,
    UNKNOWN,
    Names,
    Operations,
)

CAS_KINDS = frozenset({CAS, CAS_MET, CAS_MISSED})


class Recorder:
    """One append an operation. `processes` numbers clients: one whose operation has no known outcome goes on as a new one."""

    def __init__(self, nodes: tuple[str, ...], keys: tuple[str, ...], first_process: int) -> None:
        self._names = Names(nodes), Names(keys), Names([None])
        self._number = self._names[2].number
        self._rows = array("q")  # row behind row, in the order of COLUMNS: one append costs less than nine
        self._next_process = first_process

    def new_process(self) -> int:
        self._next_process += 1
        return self._next_process - 1

    def add(
        self,
        call_ns: int,
        return_ns: int,
        process: int,
        node: int,
        key: int,
        kind: int,
        value: str | None,
        outcome: int,
        expected: str | None = None,
    ) -> None:
        """One operation that is over; an unknown one that wrote has no return time."""
        self._rows.extend(
            (
                call_ns,
                NEVER if outcome == UNKNOWN else return_ns,
                process,
                node,
                key,
                kind,
                ABSENT if value is None else self._number(value),
                ABSENT if expected is None else self._number(expected),
                outcome,
            )
        )

    def __len__(self) -> int:
        return len(self._rows) // len(COLUMNS)

    @property
    def operations(self) -> Operations:
        """All of them so far, in columns."""
        nodes, keys, values = self._names
        columns = {
            name: array(code, self._rows[place :: len(COLUMNS)])
            for place, (name, code) in enumerate(COLUMNS.items())
        }
        return Operations(**columns, nodes=nodes, keys=keys, values=values)


def told(operations: Operations) -> dict[str, int]:
    """How many operations came to what; of compare-and-sets also how many were answered that they set, and that they did not."""
    counts = {
        "ok": operations.outcome.count(OK),
        "refused": operations.outcome.count(REFUSED),
        "unknown": operations.outcome.count(UNKNOWN),
    }
    met = [
        kind
        for kind, outcome in zip(operations.kind, operations.outcome, strict=True)
        if outcome == OK and kind in CAS_KINDS
    ]
    return {**counts, "cas": met.count(CAS), "cas_missed": len(met) - met.count(CAS)} if met else counts
