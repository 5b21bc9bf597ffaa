"""Leader and followers as real processes: what each mode promises, catching up, fencing, promotion."""

import json
import os
import select
import signal
import socket

import pytest
from kvstore import frames
from storerun import eventually, free_port, memory_kib, run_once


def status(store):
    return json.loads(store.ask("STATUS"))


@pytest.fixture
def new_cluster(new_store):
    """Return a function that starts a leader and followers; they are linked when it returns."""

    def new(mode, followers=2, args=(), leader_args=()):
        nodes = [new_store("n1", args=[f"--replication={mode}", *args, *leader_args])]
        for number in range(followers):
            options = [f"--leader={nodes[0].port}", *args]
            nodes.append(new_store(f"n{number + 2}", "follower", args=options))
        eventually(lambda: status(nodes[0])["followers"], lambda found: len(found) == followers)
        return nodes

    return new


def caught_up(leader, *followers):
    """Wait until the followers are where the leader is; return the statuses, the leader's first."""
    index = status(leader)["applied"]
    for follower in followers:
        assert follower.ask(f"WAIT {index} 15000") == "OK"
    return [status(node) for node in (leader, *followers)]


def test_what_the_leader_accepts_reaches_every_follower_in_order(new_cluster):
    leader, *followers = new_cluster("async")
    with leader.client() as ask:
        for number in range(300):
            assert ask(f"PUT k{number % 7} {number}") == "OK"
        assert ask("DELETE k3") == "OK"
    states = caught_up(leader, *followers)
    assert len({state["digest"] for state in states}) == 1
    assert followers[0].ask("GET k3") == "NOT_FOUND"
    assert followers[1].ask("PUT a b") == f"ERR read-only, leader is on port {leader.port}"
    assert [state["lag"] for state in states] == [0, 0, 0]


def test_a_follower_that_starts_first_waits_for_its_leader(new_store):
    port = free_port()
    follower = new_store("n2", "follower", args=[f"--leader={port}"])
    follower.wait_said("not following")
    leader = new_store("n1", port=port, args=["--replication=async"])
    leader.ask("PUT k v")
    assert follower.ask("WAIT 1 15000") == "OK"
    assert follower.ask("GET k") == "VALUE v"


def test_without_replication_a_follower_copies_nothing(new_store):
    leader = new_store("n1")
    follower = new_store("n2", "follower", args=[f"--leader={leader.port}"])
    leader.ask("PUT k v")
    follower.wait_said("does not replicate")
    assert follower.ask("GET k") == "NOT_FOUND"


def test_a_follower_catches_up_from_the_log_after_a_restart(new_cluster, new_store):
    leader, follower, _ = new_cluster("async")
    follower.stop(signal.SIGKILL)
    with leader.client() as ask:
        for number in range(2000):
            ask(f"PUT k{number} {'v' * 200}")
    again = new_store("n2", "follower", port=follower.port, args=[f"--leader={leader.port}"])
    first, second = caught_up(leader, again)
    assert first["digest"] == second["digest"]
    assert "snapshot" not in again.said


def test_a_follower_too_far_behind_gets_a_snapshot(new_cluster, new_store):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT gone v")
    caught_up(leader, follower)
    follower.stop()
    with leader.client() as ask:
        for number in range(17_500):
            ask(f"PUT k{number % 100} {'v' * 1000}")
        ask("DELETE gone")
    eventually(lambda: status(leader)["snapshot"], lambda index: index > 0)
    again = new_store("n2", "follower", port=follower.port, args=[f"--leader={leader.port}"])
    first, second = caught_up(leader, again)
    assert first["digest"] == second["digest"]
    assert "took the leader's snapshot" in again.wait_said("took the leader's snapshot")
    assert again.ask("GET gone") == "NOT_FOUND"


def test_majority_survives_the_loss_of_one_and_doubts_after_the_loss_of_two(new_cluster):
    leader, one, two = new_cluster("majority", args=["--ack-timeout=0.3"])
    assert leader.ask("PUT a 1") == "OK"
    one.stop(signal.SIGKILL)
    assert leader.ask("PUT a 2") == "OK"
    two.stop(signal.SIGKILL)
    assert leader.ask("PUT a 3").startswith("ERR unknown: this write may have happened: 1 of the 2 nodes")
    assert leader.ask("GET a").startswith("ERR not ready: ")
    assert leader.ask("PING") == "PONG"
    assert status(leader)["committed"] == 2


def test_all_doubts_when_one_is_gone(new_cluster):
    leader, _, two = new_cluster("all", args=["--ack-timeout=0.3"])
    assert leader.ask("PUT a 1") == "OK"
    two.stop(signal.SIGKILL)
    assert leader.ask("PUT a 2").startswith("ERR unknown: this write may have happened: 2 of the 3 nodes")


def test_a_stopped_follower_does_not_hold_up_the_leader(new_cluster):
    leader, one, two = new_cluster("majority")
    one.process.send_signal(signal.SIGSTOP)
    with leader.client() as ask:
        for number in range(500):
            assert ask(f"PUT k{number} {'v' * 20_000}") == "OK"
    one.process.send_signal(signal.SIGCONT)
    states = caught_up(leader, one, two)
    assert len({state["digest"] for state in states}) == 1


def test_wait_says_when_it_takes_too_long(new_cluster):
    leader, follower = new_cluster("async", followers=1)
    assert follower.ask("WAIT 5 50") == "ERR not ready: this node is at index 0, not yet at 5"
    assert leader.ask("WAIT x").startswith("ERR WAIT wants")


@pytest.mark.parametrize("mode", ["async", "majority"])
def test_a_promoted_follower_leads_and_the_others_follow_it(new_cluster, mode):
    leader, one, two = new_cluster(mode)
    leader.ask("PUT k old")
    caught_up(leader, one, two)
    leader.stop(signal.SIGKILL)
    assert one.ask("PROMOTE") == "OK"
    eventually(lambda: status(one)["followers"], lambda found: len(found) == 1)
    assert eventually(lambda: one.ask("PUT k new"), lambda reply: reply == "OK")
    first, second = caught_up(one, two)
    assert (first["role"], first["epoch"]) == ("leader", 2)
    assert first["digest"] == second["digest"]
    assert two.ask("PUT k x") == f"ERR read-only, leader is on port {one.port}"


def test_the_old_leader_is_fenced_and_discards_what_nobody_else_has(new_cluster, new_store):
    leader, one, two = new_cluster("async")
    leader.ask("PUT k v")
    caught_up(leader, one, two)
    for follower in (one, two):
        follower.stop(signal.SIGKILL)
    leader.ask("PUT lost 1")
    leader.ask("DELETE k")
    leader.stop(signal.SIGKILL)
    args = [f"--leader={leader.port}"]
    one, two = (new_store(f"n{n}", "follower", port=old.port, args=args) for n, old in ((2, one), (3, two)))
    assert one.ask("PROMOTE") == "OK"
    assert one.ask("PUT k new") == "OK"
    again = new_store("n1", port=leader.port, args=["--replication=async"])
    again.wait_said("now FOLLOWER: epoch 2 is led by")
    assert again.ask("PUT x y") == f"ERR read-only, leader is on port {one.port}"
    said = again.wait_said("3 DEL k")
    assert "discarded 2 writes behind index 1" in said
    assert "2 SET lost" in said
    states = caught_up(one, two, again)
    assert len({state["digest"] for state in states}) == 1
    assert [state["epoch"] for state in states] == [2, 2, 2]


def test_a_live_old_leader_steps_down_when_another_is_promoted(new_cluster):
    leader, one, two = new_cluster("majority")
    leader.ask("PUT k v")
    caught_up(leader, one, two)
    assert one.ask("PROMOTE") == "OK"
    assert leader.ask("PUT k w") == f"ERR read-only, leader is on port {one.port}"
    assert eventually(lambda: one.ask("PUT k w"), lambda reply: reply == "OK")
    states = caught_up(one, two, leader)
    assert len({state["digest"] for state in states}) == 1
    assert [state["role"] for state in states] == ["leader", "follower", "follower"]


def test_a_promotion_without_a_majority_is_refused_unless_forced(new_cluster):
    leader, one, two = new_cluster("majority")
    leader.ask("PUT k v")
    caught_up(leader, one, two)
    leader.stop(signal.SIGKILL)
    two.stop(signal.SIGKILL)
    assert one.ask("PROMOTE").startswith("ERR not ready: 1 of 2 nodes needed agree")
    assert status(one)["role"] == "follower"
    assert one.ask("PROMOTE FORCE") == "OK"
    assert status(one)["role"] == "leader"


@pytest.fixture
def named(new_store):
    """Return a function that starts n1 to n3, n1 as the leader; `told` is {(who, whom): port} where that is another road."""

    def new(told, mode="async"):
        ports = {name: free_port() for name in ("n1", "n2", "n3")}

        def start(name, role="follower"):
            ways = {other: told.get((name, other), port) for other, port in ports.items() if other != name}
            peers = ",".join(f"{other}={port}" for other, port in ways.items())
            args = [f"--name={name}", f"--peers={peers}", f"--replication={mode}"]
            args += [f"--leader={ways['n1']}"] if role == "follower" else []
            return new_store(name, role, port=ports[name], args=args)

        nodes = [start("n1", "leader"), start("n2"), start("n3")]
        eventually(lambda: status(nodes[0])["followers"], lambda found: len(found) == 2)
        return nodes, start

    return new


def follower_at(listener):
    """Wait for a node that wants to follow whoever is at a listener; return the line it says."""
    listener.settimeout(20)
    while True:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(20)
            said = accepted.makefile("rb").readline().decode()
        if said.startswith("FOLLOW "):
            return said
        assert said.startswith(("PROMISE ", "ANNOUNCE "))


@pytest.mark.parametrize("mode", ["async", "majority"])
def test_a_new_leader_is_looked_for_where_its_followers_were_told_it_is(named, mode):
    with socket.create_server(("127.0.0.1", free_port())) as road:
        (leader, one, two), start = named({("n3", "n2"): road.getsockname()[1]}, mode)
        assert leader.ask("PUT k v") == "OK"
        caught_up(leader, one, two)
        leader.stop(signal.SIGKILL)
        assert one.ask("PROMOTE") == "OK"
        assert follower_at(road).endswith(" n3\n")
        assert two.ask("PUT k x") == f"ERR read-only, leader is on port {road.getsockname()[1]}"
        two.stop(signal.SIGKILL)
        start("n3")  # remembers who leads, and goes there again
        assert follower_at(road).endswith(" n3\n")


def test_the_old_leader_comes_back_by_the_road_it_was_told(named):
    with socket.create_server(("127.0.0.1", free_port())) as road:
        (leader, one, two), start = named({("n1", "n2"): road.getsockname()[1]})
        caught_up(leader, one, two)
        leader.stop(signal.SIGKILL)
        assert one.ask("PROMOTE") == "OK"
        again = start("n1", "leader")
        again.wait_said("now FOLLOWER: epoch 2 is led by n2")
        assert follower_at(road).endswith(" n1\n")


def test_a_node_whose_place_nobody_told_is_named_as_such(new_cluster, new_store):
    leader, _ = new_cluster("async", followers=1)
    stranger = new_store("n9", "follower", args=["--name=n9", f"--leader={leader.port}"])
    assert "nobody told this node where 'n9' is (--peers)" in stranger.wait_said("--peers")


def test_two_promotions_at_once_never_share_an_epoch(new_cluster):
    leader, one, two = new_cluster("async")
    caught_up(leader, one, two)
    leader.stop(signal.SIGKILL)
    with one.client() as first, two.client() as second:
        first.sock.sendall(b"PROMOTE\n")
        second.sock.sendall(b"PROMOTE\n")
        first.reader.readline(), second.reader.readline()
    led = [line for store in (one, two) for line in store_lines(store) if "now LEADER of epoch" in line]
    epochs = [line.split("epoch ")[1].split()[0] for line in led]
    assert len(epochs) == len(set(epochs)) >= 1
    eventually(
        lambda: [status(store)["role"] for store in (one, two)].count("leader"), lambda leaders: leaders == 1
    )


def store_lines(store):
    status(store)
    store.wait_said("listening")
    while select.select([store.process.stdout], [], [], 0.2)[0]:
        store.said += os.read(store.process.stdout.fileno(), 65536).decode()
    return store.said.splitlines()


def test_a_restart_as_leader_needs_a_higher_epoch(new_cluster, new_store, tmp_path):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, follower)
    leader.stop()
    follower.stop()
    args = [f"--port={follower.port}", f"--data-dir={follower.data_dir}", "--role=leader"]
    code, _, err = run_once(args)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give --epoch=2 or higher" in err
    code, _, err = run_once([*args, "--epoch=1"])
    assert "--epoch must be higher than 1" in err
    again = new_store("n2", port=follower.port, args=["--epoch=5"])
    assert again.ask("GET k") == "VALUE v"
    assert "epoch 5 is another node's; this node's next one is 18" in again.said
    assert status(again)["epoch"] == 18


def test_a_follower_of_another_cluster_is_turned_away_and_keeps_its_data(new_cluster, new_store):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, follower)
    follower.stop()
    stranger = new_store("other", args=["--replication=async"])
    again = new_store("n2", "follower", port=follower.port, args=[f"--leader={stranger.port}"])
    leader.stop()
    assert "not following" in again.wait_said("this is cluster")
    assert again.ask("GET k") == "VALUE v"


def test_a_follower_of_a_follower_is_sent_on_to_the_leader(new_cluster, new_store):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    third = new_store("n3", "follower", args=[f"--leader={follower.port}"])
    assert third.ask("WAIT 1 15000") == "OK"
    assert third.ask("PUT a b") == f"ERR read-only, leader is on port {leader.port}"


def test_a_majority_leader_that_hears_nobody_serves_no_reads(new_cluster):
    leader, one, two = new_cluster("majority", args=["--ack-timeout=0.2"])
    assert leader.ask("PUT k v") == "OK"
    assert leader.ask("GET k") == "VALUE v"
    for follower in (one, two):
        follower.process.send_signal(signal.SIGSTOP)
    reply = eventually(lambda: leader.ask("GET k"), lambda said: said != "VALUE v")
    assert reply.startswith("ERR not ready: ")
    assert leader.ask("PING") == "PONG"
    for follower in (one, two):
        follower.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: leader.ask("GET k"), lambda said: said == "VALUE v")


@pytest.mark.parametrize(
    "words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"\x00" * 5000]
)
def test_a_leader_address_that_speaks_another_protocol_is_named_and_tried_again(new_store, words):
    with socket.create_server(("127.0.0.1", free_port())) as stranger:
        port = stranger.getsockname()[1]
        follower = new_store("n2", "follower", args=[f"--leader={port}"])
        for _ in range(2):
            accepted, _ = stranger.accept()
            with accepted:
                assert accepted.recv(1000).startswith(b"FOLLOW 1 ")
                accepted.sendall(words)
        assert f"not following 127.0.0.1:{port}: " in follower.wait_said("not following")
        assert follower.ask("PING") == "PONG"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("9 - abc 0 0 0 127.0.0.1:1", "version 1 of replication, not 9"),
        ("1 - abc x 0 0 127.0.0.1:1", "cannot be read"),
        ("1", "cannot be read"),
        ("1 - abc 0 0 0 here:port", "cannot be read"),
        ("1 - abc 0 0 0 n9", "nobody told this node where 'n9' is (--peers)"),
        ("1 - abc 0 0 0 127.0.0.1:99999", "cannot be read"),
        ("1 other abc 0 0 0 127.0.0.1:1", "this is cluster"),
    ],
)
def test_a_follower_that_makes_no_sense_is_told_why(new_store, words, says):
    leader = new_store(args=["--replication=async"])
    assert says in leader.ask(f"FOLLOW {words}")
    assert leader.ask("PUT k v") == "OK"


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"A\x01\x00\x00\x00x", b"E\x01\x00\x00\x00x"])
def test_a_follower_that_sends_garbage_is_dropped_and_harms_nobody(new_store, garbage):
    leader = new_store(args=["--replication=async"])
    with leader.client() as ask:
        assert ask("FOLLOW 1 - abc 0 0 0 127.0.0.1:1").startswith("FOLLOWED ")
        ask.sock.sendall(garbage)
        leader.wait_said("dropped follower 127.0.0.1:1")
    assert leader.ask("PUT k v") == "OK"


def test_a_slow_follower_costs_the_leader_a_bounded_buffer(new_cluster):
    leader, one = new_cluster("async", followers=1)
    one.process.send_signal(signal.SIGSTOP)
    before_kib = memory_kib(leader.process.pid)
    with leader.client() as ask:
        for number in range(400):
            ask(f"PUT k {number} {'v' * 100_000}")
    assert memory_kib(leader.process.pid) - before_kib < 20_000
    one.process.send_signal(signal.SIGCONT)
    first, second = caught_up(leader, one)
    assert first["digest"] == second["digest"]


@pytest.mark.parametrize(
    "frame",
    [
        (b"W", b"short"),
        (b"H", b""),
        (b"Z", b""),
        (b"R", b"no record"),
        (b"M", b"\xff"),
        (b"?", b""),
        (b"S", b"no snapshot"),
    ],
)
def test_a_leader_that_makes_no_sense_harms_no_follower(new_store, frame):
    with socket.create_server(("127.0.0.1", free_port())) as stranger:
        port = stranger.getsockname()[1]
        follower = new_store("n2", "follower", args=[f"--leader={port}"])
        accepted, _ = stranger.accept()
        with accepted:
            accepted.recv(1000)
            accepted.sendall(b"FOLLOWED c0ffee 1 2 async 3\n" + frames.encode(*frame))
            accepted.sendall(frames.encode(b"W", frames.REWIND.pack(0, 0)) + frames.encode(b"Z"))
            assert "it says what cannot be used" in follower.wait_said("not following")
        assert follower.ask("GET k") == "NOT_FOUND"


def test_a_follower_that_lost_its_data_takes_its_old_place(new_cluster, new_store):
    leader, one, two = new_cluster("majority")
    leader.ask("PUT k v")
    two.stop()
    again = new_store("empty", "follower", port=two.port, args=[f"--leader={leader.port}"])
    states = caught_up(leader, one, again)
    assert len({state["digest"] for state in states}) == 1
    fourth = new_store("n4", "follower", args=[f"--leader={leader.port}"])
    fourth.wait_said("this cluster has 3 nodes already")


def test_a_deep_divergence_is_found_and_discarded(new_cluster, new_store):
    leader, one = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, one)
    one.stop()
    with leader.client() as ask:
        for number in range(1500):
            ask(f"PUT lost{number} {'v' * 100}")
    leader.stop()
    one = new_store("n2", port=one.port, args=["--epoch=2"])
    with one.client() as ask:
        for number in range(700):
            ask(f"PUT new{number} {'v' * 100}")
    again = new_store("n1", "follower", port=leader.port, args=[f"--leader={one.port}"])
    assert "discarded 1500 writes behind index 1" in again.wait_said("and 500 more")
    first, second = caught_up(one, again)
    assert first["digest"] == second["digest"]
