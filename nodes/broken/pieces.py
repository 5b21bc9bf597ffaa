"""How a planted bug gets into the reference store: seams that the store itself has no need of. Holds no bug."""

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
