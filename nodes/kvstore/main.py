"""Put one node together and run it. The only place that knows all the parts.

`run` is the seam for a changed node: hand in a subclass of Server, Node or Engine.
"""

import gc
import posix
import sys

from kvstore import flags
from kvstore.datadir import open_data_dir
from kvstore.engine import Engine
from kvstore.errors import StartError
from kvstore.node import Node
from kvstore.server import Server

GC_THRESHOLD = 50_000  # requests leave no circles behind; the collector need not look often


def run(argv, server_class=Server, node_class=Node, engine_class=Engine):
    """Run a node to its end; return its exit status.

    0: stopped, 1: its disk failed, 2: something given was wrong. The last two are said in one line.
    """
    if "--help" in argv or "-h" in argv:
        posix.write(1, flags.help_text().encode())
        return 0
    try:
        settings = flags.parse(argv)
        return run_node(settings, server_class, node_class, engine_class)
    except StartError as error:
        sys.stderr.write(f"kvstore: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"kvstore: cannot start: {error}\n")
        return 1


def run_node(settings, server_class, node_class, engine_class):
    """Start, serve and stop one node; return 0 or 1. Raises StartError, OSError before a port is listened on."""
    gc.disable()  # reading a large state back takes half as long
    server = server_class(settings)
    server.starting()
    lock = open_data_dir(settings.data_dir)
    engine = engine_class(
        settings.data_dir,
        settings.fsync,
        server.say if settings.repair else None,
        server.say,
        settings.snapshot_after,
    )
    server.node = node_class(settings, engine, server)
    server.node.start()
    server.watch_signals()
    server.listen()
    server.ready()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()
    try:
        server.serve()
        server.stop()
        engine.close()
    except OSError as error:
        server.say(
            f"stopping: the log cannot be written, nothing more is acknowledged: {error.strerror or error}"
        )
        server.stop()
        return 1
    posix.close(lock)
    return 0
