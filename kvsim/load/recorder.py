"""Operations of a load as columns while it runs. Appends only; knows nothing of sockets or of what is right."""

from __future__ import annotations

from kvsim.history.operations import ABSENT, NEVER, OK, REFUSED, UNKNOWN, Operations


class Recorder:
    """One append an operation. `processes` numbers clients: one whose operation has no known outcome goes on as a new one."""

    def __init__(self, nodes: tuple[str, ...], keys: tuple[str, ...], first_process: int) -> None:
        self.operations = Operations()
        for node in nodes:
            self.operations.nodes.number(node)
        for key in keys:
            self.operations.keys.number(key)
        self._next_process = first_process
        self.counts = [0, 0, 0]  # by outcome

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
    ) -> None:
        """One operation that is over; an unknown one that wrote has no return time."""
        columns = self.operations
        columns.call_ns.append(call_ns)
        columns.return_ns.append(NEVER if outcome == UNKNOWN else return_ns)
        columns.process.append(process)
        columns.node.append(node)
        columns.key.append(key)
        columns.kind.append(kind)
        columns.value.append(ABSENT if value is None else columns.values.number(value))
        columns.expected.append(ABSENT)
        columns.outcome.append(outcome)
        self.counts[outcome] += 1

    def told(self) -> dict[str, int]:
        """How many operations came to what."""
        return {"ok": self.counts[OK], "refused": self.counts[REFUSED], "unknown": self.counts[UNKNOWN]}
