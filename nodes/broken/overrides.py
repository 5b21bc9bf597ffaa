"""Run the reference store with a part of it overridden: for the planted bugs.

The store's own `kvstore.main.run` takes a server, node or engine class. This module adds the parts
for which the store needs no parameter.
"""

from kvstore.engine import Engine
from kvstore.main import run
from kvstore.node import StoreNode
from kvstore.server import StoreServer, set_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.cluster_member import ClusterMember
    from kvstore.committed_engine import CommittedEngine
    from kvstore.connection import ServerConnection
    from kvstore.elected_member import ElectedMember
    from kvstore.line_session import LineSession


def run_with_session(argv: list[str], session_class: "type[LineSession]") -> int:
    """Run a node that speaks the line protocol only, with this session; return its exit status."""

    class LineProtocolServer(StoreServer):
        def new_session(self, connection: "ServerConnection") -> "LineSession":
            def on_refused(verb: str, key: bytes, reason: str) -> None:
                self.log_refusal(connection, verb, key, reason)

            session = session_class(self.node, on_refused)
            set_session(connection, session)
            return session

    return run(argv, server_class=LineProtocolServer)


def refuse_always(session: "LineSession", verb: str, key: bytes) -> bytes:
    """Return and log the refusal of a request, without a check of the role."""
    reason = session.node.refusal_text()
    session.on_refused(verb, key, reason)
    return session.encode_error(reason)


def run_with_cluster_member(argv: list[str], **overrides: object) -> int:
    """Run a node whose ClusterMember has these attributes overridden; return its exit status."""
    from kvstore.cluster_member import ClusterMember

    class ChangedNode(StoreNode):
        def cluster_member_class(self) -> "type[ClusterMember]":
            return type("ChangedClusterMember", (ClusterMember,), overrides)

    return run(argv, node_class=ChangedNode)


def run_electing(
    argv: list[str], engine_class: "type[CommittedEngine] | None" = None, **overrides: object
) -> int:
    """Run a node that elects, with an engine of this class and an ElectedMember that has these
    attributes overridden; return its exit status.
    """
    from kvstore.committed_engine import CommittedEngine
    from kvstore.elected_member import ElectedMember
    from kvstore.elected_node import ElectedNode

    class ChangedNode(ElectedNode):
        def cluster_member_class(self) -> "type[ElectedMember]":
            return type("ChangedElectedMember", (ElectedMember,), overrides)

    return run(argv, node_class=ChangedNode, engine_class=engine_class or CommittedEngine)


def losing_engine() -> "type[CommittedEngine]":
    """Return an engine that discards committed records when it is told to.

    The reference store refuses that, and so shows less of what an election got wrong.
    """
    from kvstore.committed_engine import CommittedEngine

    class LosingEngine(CommittedEngine):
        def refuse_loss(self, index: int) -> None:
            self.commit_index = min(self.commit_index, index)

    return LosingEngine


class ReplicationEngine(Engine):
    """An engine that applies the records of a leader through `apply_payload`.

    The records of its own log are applied as in the reference store.
    """

    from_leader = False

    def apply_record(self, packed: bytes) -> None:
        self.from_leader = True
        try:
            super().apply_record(packed)
        finally:
            self.from_leader = False

    def replay(self, payload: bytes) -> None:
        if self.from_leader:
            self.apply_payload(payload)
        else:
            super().replay(payload)

    def apply_payload(self, payload: bytes) -> None:
        """Apply one record of the leader to the state."""
        super().replay(payload)
