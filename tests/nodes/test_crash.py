"""Nodes are killed while clients write: every acknowledged write survives, and nothing else."""

import json
import random
import signal
import threading

import pytest
from store_process import eventually


class Writer:
    """One client that writes increasing numbers to its key until its connection breaks."""

    def __init__(self, store, name, start, size):
        self.store, self.name, self.size = store, name, size
        self.acked, self.sent = start, start
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with self.store.client() as ask:
                while True:
                    self.sent += 1
                    if ask(f"PUT {self.name} {self.sent} {'v' * self.size}") != "OK":
                        return
                    self.acked = self.sent
        except OSError:
            return


def kill_and_check(store, restart, writers, seed):
    """Kill the store once some writes are acknowledged; return the restarted store, checked."""
    goal = random.Random(seed).randrange(1, 60)
    start = sum(writer.acked for writer in writers)
    eventually(lambda: sum(writer.acked for writer in writers), lambda acked: acked >= start + goal)
    store.stop(signal.SIGKILL)
    for writer in writers:
        writer.thread.join()
    again = restart()
    for writer in writers:
        reply = again.ask(f"GET {writer.name}")
        found = int(reply.split()[1]) if reply != "NOT_FOUND" else 0
        assert writer.acked <= found <= writer.sent, f"seed {seed}: {writer.name} {reply}"
        writer.sent = writer.acked = found
    return again


def kill_repeatedly(new_store, times, fsync, size):
    store = new_store(args=[f"--fsync={fsync}"])
    numbers = {f"w{number}": 0 for number in range(4)}
    for seed in range(times):
        writers = [Writer(store, name, start, size) for name, start in numbers.items()]
        store = kill_and_check(store, lambda: new_store(args=[f"--fsync={fsync}"]), writers, seed)
        numbers = {writer.name: writer.sent for writer in writers}


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_a_kill_loses_nothing_acknowledged(new_store, fsync):
    kill_repeatedly(new_store, 5, fsync, size=8)


@pytest.mark.slow
@pytest.mark.parametrize(("fsync", "size"), [("always", 8), ("always", 60_000), ("never", 60_000)])
def test_hundreds_of_kills_lose_nothing_acknowledged(new_store, fsync, size):
    kill_repeatedly(new_store, 150, fsync, size)


def fail_over(new_store, folder, seed):
    """Kill a leader while clients write, promote the follower that may lead, and check it."""
    leader = new_store(f"{folder}1", args=["--replication=majority"])
    args = [f"--leader={leader.port}"]
    followers = [new_store(f"{folder}{n}", "follower", args=args) for n in (2, 3)]
    eventually(lambda: json.loads(leader.ask("STATUS"))["followers"], lambda found: len(found) == 2)
    writers = [Writer(leader, f"w{number}", 0, 8) for number in range(4)]
    goal = random.Random(seed).randrange(1, 200)
    eventually(lambda: sum(writer.acked for writer in writers), lambda acked: acked >= goal)
    leader.stop(signal.SIGKILL)
    for writer in writers:
        writer.thread.join()
    replies = []
    for follower in followers:
        replies.append(follower.ask("PROMOTE"))
        if replies[-1] == "OK":
            break
    assert replies[-1] == "OK", replies
    for writer in writers:
        reply = eventually(
            lambda name=writer.name: follower.ask(f"GET {name}"),
            lambda answer: "not ready" not in answer,
        )
        found = int(reply.split()[1]) if reply != "NOT_FOUND" else 0
        assert writer.acked <= found <= writer.sent, f"seed {seed}: {writer.name} {reply}"
    for store in (leader, *followers):
        store.close()


def test_what_a_majority_acknowledged_survives_the_leader(new_store):
    for seed in range(2):
        fail_over(new_store, f"m{seed}", seed)


@pytest.mark.slow
def test_what_a_majority_acknowledged_survives_fifty_leaders(new_store):
    for seed in range(50):
        fail_over(new_store, f"m{seed}", seed)
