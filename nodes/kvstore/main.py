"""Build one node from its parts and run it. The only module that knows all parts.

A changed node is started here: pass a subclass of StoreServer, StoreNode or Engine to `run`.
"""

import gc
import posix
import sys

from kvstore import flags
from kvstore.data_directory import open_data_directory
from kvstore.engine import Engine
from kvstore.errors import StartError, UnreadableFileError
from kvstore.node import StoreNode
from kvstore.server import StoreServer

# requests create no reference cycles, so the collector may run rarely
GC_THRESHOLD = 50_000


def run(
    argv: list[str],
    server_class: type[StoreServer] = StoreServer,
    node_class: type[StoreNode] = StoreNode,
    engine_class: type[Engine] = Engine,
) -> int:
    """Run a node until it ends; return its exit status.

    0: stopped. 1: its disk failed. 2: an argument or a file is wrong. For 1 and 2 one line reports
    the problem.
    """
    if "--help" in argv or "-h" in argv:
        posix.write(1, flags.help_text().encode())
        return 0
    try:
        settings = flags.parse(argv)
        if settings.elect:
            from kvstore.committed_engine import CommittedEngine
            from kvstore.elected_node import ElectedNode

            node_class = ElectedNode if node_class is StoreNode else node_class
            engine_class = CommittedEngine if engine_class is Engine else engine_class
        return run_node(settings, server_class, node_class, engine_class)
    except StartError as error:
        sys.stderr.write(f"kvstore: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"kvstore: cannot start: {error}\n")
        return 1


def run_node(
    settings: flags.Settings,
    server_class: type[StoreServer],
    node_class: type[StoreNode],
    engine_class: type[Engine],
) -> int:
    """Start one node, serve, and stop it; return 0 or 1.

    Raises StartError or OSError only before the node listens.
    """
    # reading a large state takes half as long without the collector
    gc.disable()
    server = server_class(settings)
    server.log_start()
    lock = open_data_directory(settings.data_dir)
    engine = engine_class(
        settings.data_dir,
        settings.fsync,
        server.log_line if settings.repair else None,
        server.log_line,
        settings.snapshot_after,
    )
    server.node = node_class(settings, engine, server)
    server.node.start()
    server.watch_signals()
    server.listen()
    server.log_ready()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()
    try:
        server.serve()
        server.stop()
        engine.close()
    except UnreadableFileError as error:
        server.log_line(f"stopping: {error}")
        server.stop()
        return 1
    except OSError as error:
        server.log_line(
            "stopping: the log cannot be written, so no further write is acknowledged: "
            f"{error.strerror or error}"
        )
        server.stop()
        return 1
    posix.close(lock)
    return 0
