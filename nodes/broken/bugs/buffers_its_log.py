"""A node keeps its log lines in a buffer until it ends, as programs do that print to a file and never flush."""

from kvstore.main import run as run_node
from kvstore.server import Server


class Buffered(Server):
    """Says everything, much later."""

    def __init__(self, settings):
        super().__init__(settings)
        self.kept = []

    def say(self, text):
        self.kept.append(text)

    def stop(self):
        super().stop()
        for text in self.kept:
            self.log.say(text)


def run(argv):
    return run_node(argv, server_class=Buffered)
