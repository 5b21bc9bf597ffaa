"""Operations of a load as columns while it runs. Appends only; knows nothing of sockets or of what is right."""

from __future__ import annotations

from kvsim.history.operations import ABSENT, CAS, CAS_MET, CAS_MISSED, NEVER, OK, REFUSED, UNKNOWN, Operations


class Recorder:
    """One append an operation. `processes` numbers clients: one whose operation has no known outcome goes on as a new one."""

    def __init__(self, nodes: tuple[str, ...], keys: tuple[str, ...], first_process: int) -> None:
        self.operations = columns = Operations()
        for node in nodes:
            columns.nodes.number(node)
        for key in keys:
            columns.keys.number(key)
        self._next_process = first_process
        self._number = columns.values.number
        self._call, self._return = columns.call_ns.append, columns.return_ns.append
        self._process, self._node, self._key = columns.process.append, columns.node.append, columns.key.append
        self._kind, self._outcome = columns.kind.append, columns.outcome.append
        self._value, self._expected = columns.value.append, columns.expected.append

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
        self._call(call_ns)
        self._return(NEVER if outcome == UNKNOWN else return_ns)
        self._process(process)
        self._node(node)
        self._key(key)
        self._kind(kind)
        self._value(ABSENT if value is None else self._number(value))
        self._expected(ABSENT if expected is None else self._number(expected))
        self._outcome(outcome)

    def told(self) -> dict[str, int]:
        """How many operations came to what; of compare-and-sets also how many were answered that they set, and that they did not."""
        operations = self.operations
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


CAS_KINDS = frozenset({CAS, CAS_MET, CAS_MISSED})
