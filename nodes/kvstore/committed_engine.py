"""An engine whose state holds committed writes only, unless this node leads. With `--elect`.

Raft keeps the log and the state machine apart: a record is in the log at once and in the state when
it is committed. So a follower never shows a write that a new leader may discard. A leader applies
its writes at once, and its replies wait until they are committed; a leader that steps down loads
the committed state again.

Does not know other nodes. Override in a changed node: `apply`, `advance`, `rewind`.
"""

from kvstore import membership, record
from kvstore.engine import Engine
from kvstore.errors import DiskFullError
from kvstore.log import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class CommittedEngine(Engine):
    """`commit_index`: the state of a follower ends here. `commit_is_known`: whether this is what a
    leader of this run has committed; after a start it is only the end of the snapshot. `unapplied`:
    (last index, payload) of the records after it. `sealed_index`: the log is cut here for a
    snapshot that starts when this is committed. `configurations`: {index: members} of the log
    after the snapshot; `on_configuration` is called when they change, and `on_snapshot(index)`
    before a snapshot replaces the log up to there.
    """

    def __init__(self, *arguments: object, **options: object) -> None:
        self.commit_index = 0
        self.commit_is_known = False
        self.leads = False
        self.unapplied: list[tuple[int, bytes]] = []
        self.sealed_index: int | None = None
        self.configurations: dict[int, str] = {}
        self.on_configuration: Callable[[], object] = lambda: None
        self.on_snapshot: Callable[[int], object] = lambda index: None
        super().__init__(*arguments, **options)  # type: ignore[arg-type]

    def load(self) -> None:
        """Read the committed state and the log; raises StartError, OSError."""
        self.unapplied, self.sealed_index, self.configurations = [], None, {}
        on_configuration, self.on_configuration = self.on_configuration, lambda: None
        super().load()
        self.on_configuration = on_configuration
        self.commit_index = max(self.commit_index, self.snapshot_index)
        self.on_configuration()

    def apply(self, payload: bytes, last: int) -> None:
        """Apply a record if it is committed; otherwise keep it until it is."""
        if payload.startswith(record.MEMBERS_PREFIX):
            self.configurations[last] = membership.decode_command(payload)
            self.on_configuration()
        if last > max(self.commit_index, self.snapshot_index):
            self.unapplied.append((last, payload))
        else:
            self.replay(payload)

    @property
    def applied(self) -> int:
        """Index of the last command in the state; a leader's state holds its whole log."""
        return self.log.last + self.pending_count if self.leads else self.commit_index

    @property
    def all_is_committed(self) -> bool:
        """Whether the state holds committed writes only."""
        return self.commit_is_known and self.applied <= self.commit_index

    def advance(self, index: int) -> None:
        """Everything up to `index` is committed: apply it. Raises OSError."""
        self.commit_is_known = True
        if index <= self.commit_index:
            return
        self.commit_index = index
        count = 0
        for last, payload in self.unapplied:
            if last > index:
                break
            self.replay(payload)
            count += 1
        del self.unapplied[:count]

    def lead(self) -> None:
        """Apply the whole log, and every write from now on at once. Raises OSError."""
        for _, payload in self.unapplied:
            self.replay(payload)
        self.unapplied = []
        self.leads = True

    def append_configuration(self, members: dict[str, str]) -> int:
        """Append a configuration as a record of its own; return its index.

        Raises DiskFullError, OSError.
        """
        command = membership.encode_command(members)
        self.write_pending()
        self.reserve(len(command))
        self.gather(command)
        self.write_pending()
        self.configurations[self.log.last] = membership.encode(members)
        self.on_configuration()
        return self.log.last

    def adopt_snapshot(self, path: str, index: int) -> None:
        """Make a finished snapshot the current one. Raises OSError."""
        try:
            self.on_snapshot(index)
        except DiskFullError as error:
            # try again when the log is twice as long
            self.snapshot_bytes = self.log.bytes_kept
            self.log_line(f"the snapshot at index {index} is not used: {error}")
            remove_file(path)
            return
        super().adopt_snapshot(path, index)
        self.configurations = {i: text for i, text in self.configurations.items() if i > index}

    def stop_leading(self) -> None:
        """Go back to the committed state. Raises StartError, OSError."""
        self.commit()
        self.leads = False
        if self.log.last > self.commit_index:
            self._reload()

    def rewind(self, index: int, chain: int) -> list[str]:
        """As Engine's; raises ValueError for what is committed."""
        self.refuse_loss(index)
        return super().rewind(index, chain)

    def install_snapshot(self, path: str) -> str:
        """As Engine's; raises ValueError for a snapshot that ends before the committed state."""
        from kvstore.snapshot import SnapshotFile

        received = SnapshotFile(path)
        received.close()
        self.refuse_loss(received.index)
        return super().install_snapshot(path)

    def refuse_loss(self, index: int) -> None:
        """Raise ValueError if a history that ends at `index` loses committed writes."""
        if index < self.commit_index:
            raise ValueError(
                f"it discards what is committed: it ends at index {index}, and index "
                f"{self.commit_index} is committed"
            )

    def start_snapshot(self) -> None:
        """Seal the log, and start a snapshot when what it holds is committed. Raises OSError."""
        if self.sealed_index is None and self.seal_log():
            self.sealed_index = self.log.last
        if self.sealed_index is not None and self.commit_index >= self.sealed_index:
            self.spawn_snapshot(self.sealed_index)
            self.sealed_index = None
