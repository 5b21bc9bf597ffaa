"""How a planted bug gets into the reference store: seams that the store itself has no need of. Holds no bug."""

from kvstore.engine import Engine
from kvstore.main import run
from kvstore.server import Server


def run_with_session(argv, session_class):
    """Run a node whose clients all speak the line protocol, through a changed session; return its exit status."""

    class LinesOnly(Server):
        def session_for(self, connection):
            def on_refused(verb, key, why):
                self.refused(connection, verb, key, why)

            session = session_class(self.node, on_refused)
            session.connection = connection
            return session

    return run(argv, server_class=LinesOnly)


def refused_anyway(session, verb, key):
    """Return the refusal of a write whatever the role, said in the log as well."""
    why = session.node.refusal_text()
    session.on_refused(verb, key, why)
    return session.encode_error(why)


def run_with_cluster(argv, **changes):
    """Run a node whose Cluster has these attributes changed; return its exit status."""
    from kvstore.cluster import Cluster
    from kvstore.node import Node

    class Changed(Node):
        def cluster_class(self):
            return type("ChangedCluster", (Cluster,), changes)

    return run(argv, node_class=Changed)


class FromLeader(Engine):
    """An engine that shows a leader's records through `show(payload)`, and its own log's as always."""

    live = False

    def apply_record(self, packed):
        self.live = True
        try:
            super().apply_record(packed)
        finally:
            self.live = False

    def replay(self, payload):
        if self.live:
            self.show(payload)
        else:
            super().replay(payload)

    def show(self, payload):
        """Apply one record of the leader's to the state."""
        super().replay(payload)
