"""A leader and followers as real processes: each mode, catching up, fencing, promotion."""

import json
import os
import select
import signal
import socket

import pytest
from kvstore import frames
from store_process import eventually, free_port, memory_kib, run_once


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
    """Wait until the followers have what the leader has; return the statuses, leader first."""
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
    follower.wait_for_output("not following")
    leader = new_store("n1", port=port, args=["--replication=async"])
    leader.ask("PUT k v")
    assert follower.ask("WAIT 1 15000") == "OK"
    assert follower.ask("GET k") == "VALUE v"


def test_without_replication_a_follower_copies_nothing(new_store):
    leader = new_store("n1")
    follower = new_store("n2", "follower", args=[f"--leader={leader.port}"])
    leader.ask("PUT k v")
    follower.wait_for_output("does not replicate")
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
    assert "snapshot" not in again.output


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
    assert "took the leader's snapshot" in again.wait_for_output("took the leader's snapshot")
    assert again.ask("GET gone") == "NOT_FOUND"


def test_majority_survives_the_loss_of_a_node_and_is_indeterminate_without_two(new_cluster):
    leader, n2, n3 = new_cluster("majority", args=["--ack-timeout=0.3"])
    assert leader.ask("PUT a 1") == "OK"
    n2.stop(signal.SIGKILL)
    assert leader.ask("PUT a 2") == "OK"
    n3.stop(signal.SIGKILL)
    assert leader.ask("PUT a 3").startswith(
        "ERR unknown: this write may have happened: 1 of the 2 nodes"
    )
    assert leader.ask("GET a").startswith("ERR not ready: ")
    assert leader.ask("PING") == "PONG"
    assert status(leader)["committed"] == 2


def test_all_is_indeterminate_when_a_node_is_down(new_cluster):
    leader, _, n3 = new_cluster("all", args=["--ack-timeout=0.3"])
    assert leader.ask("PUT a 1") == "OK"
    n3.stop(signal.SIGKILL)
    assert leader.ask("PUT a 2").startswith(
        "ERR unknown: this write may have happened: 2 of the 3 nodes"
    )


def test_a_stopped_follower_does_not_delay_the_leader(new_cluster):
    leader, n2, n3 = new_cluster("majority")
    n2.process.send_signal(signal.SIGSTOP)
    with leader.client() as ask:
        for number in range(500):
            assert ask(f"PUT k{number} {'v' * 20_000}") == "OK"
    n2.process.send_signal(signal.SIGCONT)
    states = caught_up(leader, n2, n3)
    assert len({state["digest"] for state in states}) == 1


def test_wait_fails_when_it_takes_too_long(new_cluster):
    leader, follower = new_cluster("async", followers=1)
    assert follower.ask("WAIT 5 50") == "ERR not ready: this node is at index 0, not yet at 5"
    assert leader.ask("WAIT x").startswith("ERR WAIT takes")


@pytest.mark.parametrize("mode", ["async", "majority"])
def test_a_promoted_follower_leads_and_the_others_follow_it(new_cluster, mode):
    leader, n2, n3 = new_cluster(mode)
    leader.ask("PUT k old")
    caught_up(leader, n2, n3)
    leader.stop(signal.SIGKILL)
    assert n2.ask("PROMOTE") == "OK"
    eventually(lambda: status(n2)["followers"], lambda found: len(found) == 1)
    assert eventually(lambda: n2.ask("PUT k new"), lambda reply: reply == "OK")
    first, second = caught_up(n2, n3)
    assert (first["role"], first["term"]) == ("leader", 2)
    assert first["digest"] == second["digest"]
    assert n3.ask("PUT k x") == f"ERR read-only, leader is on port {n2.port}"


def test_the_old_leader_is_fenced_and_discards_what_no_other_node_has(new_cluster, new_store):
    leader, n2, n3 = new_cluster("async")
    leader.ask("PUT k v")
    caught_up(leader, n2, n3)
    for follower in (n2, n3):
        follower.stop(signal.SIGKILL)
    leader.ask("PUT lost 1")
    leader.ask("DELETE k")
    leader.stop(signal.SIGKILL)
    args = [f"--leader={leader.port}"]
    n2 = new_store("n2", "follower", port=n2.port, args=args)
    n3 = new_store("n3", "follower", port=n3.port, args=args)
    assert n2.ask("PROMOTE") == "OK"
    assert n2.ask("PUT k new") == "OK"
    again = new_store("n1", port=leader.port, args=["--replication=async"])
    again.wait_for_output("now FOLLOWER: term 2 is led by")
    assert again.ask("PUT x y") == f"ERR read-only, leader is on port {n2.port}"
    output = again.wait_for_output("3 DEL k")
    assert "discarded 2 writes after index 1" in output
    assert "2 SET lost" in output
    states = caught_up(n2, n3, again)
    assert len({state["digest"] for state in states}) == 1
    assert [state["term"] for state in states] == [2, 2, 2]


def test_a_live_old_leader_steps_down_when_another_is_promoted(new_cluster):
    leader, n2, n3 = new_cluster("majority")
    leader.ask("PUT k v")
    caught_up(leader, n2, n3)
    assert n2.ask("PROMOTE") == "OK"
    assert leader.ask("PUT k w") == f"ERR read-only, leader is on port {n2.port}"
    assert eventually(lambda: n2.ask("PUT k w"), lambda reply: reply == "OK")
    states = caught_up(n2, n3, leader)
    assert len({state["digest"] for state in states}) == 1
    assert [state["role"] for state in states] == ["leader", "follower", "follower"]


def test_a_promotion_without_a_majority_is_refused_unless_forced(new_cluster):
    leader, n2, n3 = new_cluster("majority")
    leader.ask("PUT k v")
    caught_up(leader, n2, n3)
    leader.stop(signal.SIGKILL)
    n3.stop(signal.SIGKILL)
    assert n2.ask("PROMOTE").startswith("ERR not ready: 1 of 2 nodes needed agree")
    assert status(n2)["role"] == "follower"
    assert n2.ask("PROMOTE FORCE") == "OK"
    assert status(n2)["role"] == "leader"


@pytest.fixture
def named(new_store):
    """Return a function that starts n1 to n3 with names, n1 as the leader.

    `routes` is {(node, other node): port} where the node reaches the other at another port.
    """

    def new(routes, mode="async"):
        ports = {name: free_port() for name in ("n1", "n2", "n3")}

        def start(name, role="follower"):
            others = {other: routes.get((name, other), ports[other]) for other in ports}
            del others[name]
            peers = ",".join(f"{other}={port}" for other, port in others.items())
            args = [f"--name={name}", f"--peers={peers}", f"--replication={mode}"]
            args += [f"--leader={others['n1']}"] if role == "follower" else []
            return new_store(name, role, port=ports[name], args=args)

        nodes = [start("n1", "leader"), start("n2"), start("n3")]
        eventually(lambda: status(nodes[0])["followers"], lambda found: len(found) == 2)
        return nodes, start

    return new


def follow_request(listener):
    """Wait at a listener for a node that wants to follow; return the line that it sends."""
    listener.settimeout(20)
    while True:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(20)
            line = accepted.makefile("rb").readline().decode()
        if line.startswith("FOLLOW "):
            return line
        # empty: a node that was killed, or gave up, before it had sent its line
        assert not line or line.startswith(("PROMISE ", "ANNOUNCE "))


@pytest.mark.parametrize("mode", ["async", "majority"])
def test_a_follower_reaches_a_new_leader_by_its_own_route(named, mode):
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        (leader, n2, n3), start = named({("n3", "n2"): listener.getsockname()[1]}, mode)
        assert leader.ask("PUT k v") == "OK"
        caught_up(leader, n2, n3)
        leader.stop(signal.SIGKILL)
        assert n2.ask("PROMOTE") == "OK"
        assert follow_request(listener).endswith(" n3\n")
        assert n3.ask("PUT k x") == f"ERR read-only, leader is on port {listener.getsockname()[1]}"
        n3.stop(signal.SIGKILL)
        # a restarted follower remembers the leader
        start("n3")
        assert follow_request(listener).endswith(" n3\n")


def test_the_old_leader_reaches_the_new_leader_by_its_own_route(named):
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        (leader, n2, n3), start = named({("n1", "n2"): listener.getsockname()[1]})
        caught_up(leader, n2, n3)
        leader.stop(signal.SIGKILL)
        assert n2.ask("PROMOTE") == "OK"
        again = start("n1", "leader")
        again.wait_for_output("now FOLLOWER: term 2 is led by n2")
        assert follow_request(listener).endswith(" n1\n")


def test_an_unknown_peer_name_is_reported(new_cluster, new_store):
    leader, _ = new_cluster("async", followers=1)
    stranger = new_store("n9", "follower", args=["--name=n9", f"--leader={leader.port}"])
    assert "has no address for 'n9'" in stranger.wait_for_output("in its --peers")


def test_two_promotions_at_once_never_share_a_term(new_cluster):
    leader, n2, n3 = new_cluster("async")
    caught_up(leader, n2, n3)
    leader.stop(signal.SIGKILL)
    with n2.client() as first, n3.client() as second:
        first.sock.sendall(b"PROMOTE\n")
        second.sock.sendall(b"PROMOTE\n")
        first.reader.readline(), second.reader.readline()
    lines = store_lines(n2) + store_lines(n3)
    terms = [line.split("term ")[1].split()[0] for line in lines if "now LEADER of term" in line]
    assert len(terms) == len(set(terms)) >= 1
    eventually(
        lambda: [status(store)["role"] for store in (n2, n3)],
        lambda roles: roles.count("leader") == 1,
    )


def store_lines(store):
    status(store)
    store.wait_for_output("listening")
    while select.select([store.process.stdout], [], [], 0.2)[0]:
        store.output += os.read(store.process.stdout.fileno(), 65536).decode()
    return store.output.splitlines()


def test_a_restart_as_leader_needs_a_higher_term(new_cluster, new_store, tmp_path):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, follower)
    leader.stop()
    follower.stop()
    args = [f"--port={follower.port}", f"--data-dir={follower.data_dir}", "--role=leader"]
    code, _, err = run_once(args)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give --term=2 or higher" in err
    code, _, err = run_once([*args, "--term=1"])
    assert "--term must be higher than 1" in err
    again = new_store("n2", port=follower.port, args=["--term=5"])
    assert again.ask("GET k") == "VALUE v"
    assert "term 5 belongs to another node; this node's next term is 18" in again.output
    assert status(again)["term"] == 18


def test_a_follower_of_another_cluster_is_rejected_and_keeps_its_data(new_cluster, new_store):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, follower)
    follower.stop()
    stranger = new_store("other", args=["--replication=async"])
    again = new_store("n2", "follower", port=follower.port, args=[f"--leader={stranger.port}"])
    leader.stop()
    assert "not following" in again.wait_for_output("this is cluster")
    assert again.ask("GET k") == "VALUE v"


def test_a_follower_of_a_follower_is_redirected_to_the_leader(new_cluster, new_store):
    leader, follower = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    third = new_store("n3", "follower", args=[f"--leader={follower.port}"])
    assert third.ask("WAIT 1 15000") == "OK"
    assert third.ask("PUT a b") == f"ERR read-only, leader is on port {leader.port}"


def test_a_majority_leader_without_followers_serves_no_reads(new_cluster):
    leader, n2, n3 = new_cluster("majority", args=["--ack-timeout=0.2"])
    assert leader.ask("PUT k v") == "OK"
    assert leader.ask("GET k") == "VALUE v"
    for follower in (n2, n3):
        follower.process.send_signal(signal.SIGSTOP)
    reply = eventually(lambda: leader.ask("GET k"), lambda answer: answer != "VALUE v")
    assert reply.startswith("ERR not ready: ")
    assert leader.ask("PING") == "PONG"
    for follower in (n2, n3):
        follower.process.send_signal(signal.SIGCONT)
    assert eventually(lambda: leader.ask("GET k"), lambda answer: answer == "VALUE v")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"\x00" * 5000]
)
def test_a_leader_address_that_speaks_another_protocol_is_logged_and_retried(new_store, answer):
    with socket.create_server(("127.0.0.1", free_port())) as stranger:
        port = stranger.getsockname()[1]
        follower = new_store("n2", "follower", args=[f"--leader={port}"])
        for _ in range(2):
            accepted, _ = stranger.accept()
            with accepted:
                assert accepted.recv(1000).startswith(b"FOLLOW %d " % frames.VERSION)
                accepted.sendall(answer)
        assert f"not following 127.0.0.1:{port}: " in follower.wait_for_output("not following")
        assert follower.ask("PING") == "PONG"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("9 - abc 0 0 0 127.0.0.1:1", f"version {frames.VERSION} of replication, not 9"),
        (f"{frames.VERSION} - abc x 0 0 127.0.0.1:1", "cannot be parsed"),
        (str(frames.VERSION), "cannot be parsed"),
        (f"{frames.VERSION} - abc 0 0 0 here:port", "cannot be parsed"),
        (f"{frames.VERSION} - abc 0 0 0 n9", "this node has no address for 'n9' in its --peers"),
        (f"{frames.VERSION} - abc 0 0 0 127.0.0.1:99999", "cannot be parsed"),
        (f"{frames.VERSION} other abc 0 0 0 127.0.0.1:1", "this is cluster"),
    ],
)
def test_a_wrong_follow_request_is_explained(new_store, words, problem):
    leader = new_store(args=["--replication=async"])
    assert problem in leader.ask(f"FOLLOW {words}")
    assert leader.ask("PUT k v") == "OK"


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"A\x01\x00\x00\x00x", b"E\x01\x00\x00\x00x"])
def test_a_follower_that_sends_garbage_is_dropped_and_harms_no_client(new_store, garbage):
    leader = new_store(args=["--replication=async"])
    with leader.client() as ask:
        assert ask(f"FOLLOW {frames.VERSION} - abc 0 0 0 127.0.0.1:1").startswith("FOLLOWED ")
        ask.sock.sendall(garbage)
        leader.wait_for_output("dropped follower 127.0.0.1:1")
    assert leader.ask("PUT k v") == "OK"


def test_a_slow_follower_takes_a_bounded_buffer_of_the_leader(new_cluster):
    leader, n2 = new_cluster("async", followers=1)
    n2.process.send_signal(signal.SIGSTOP)
    before_kib = memory_kib(leader.process.pid)
    with leader.client() as ask:
        for number in range(400):
            ask(f"PUT k {number} {'v' * 100_000}")
    assert memory_kib(leader.process.pid) - before_kib < 20_000
    n2.process.send_signal(signal.SIGCONT)
    first, second = caught_up(leader, n2)
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
def test_a_leader_that_sends_garbage_harms_no_follower(new_store, frame):
    with socket.create_server(("127.0.0.1", free_port())) as stranger:
        port = stranger.getsockname()[1]
        follower = new_store("n2", "follower", args=[f"--leader={port}"])
        accepted, _ = stranger.accept()
        with accepted:
            accepted.recv(1000)
            accepted.sendall(b"FOLLOWED c0ffee 1 2 async 3\n" + frames.encode(*frame))
            accepted.sendall(frames.encode(b"W", frames.REWIND.pack(0, 0)) + frames.encode(b"Z"))
            assert "it sent what this node cannot use" in follower.wait_for_output("not following")
        assert follower.ask("GET k") == "NOT_FOUND"


def test_a_follower_that_lost_its_data_takes_its_old_slot(new_cluster, new_store):
    leader, n2, n3 = new_cluster("majority")
    leader.ask("PUT k v")
    n3.stop()
    again = new_store("empty", "follower", port=n3.port, args=[f"--leader={leader.port}"])
    states = caught_up(leader, n2, again)
    assert len({state["digest"] for state in states}) == 1
    fourth = new_store("n4", "follower", args=[f"--leader={leader.port}"])
    fourth.wait_for_output("this cluster has 3 nodes already")


def test_a_deep_divergence_is_found_and_discarded(new_cluster, new_store):
    leader, n2 = new_cluster("async", followers=1)
    leader.ask("PUT k v")
    caught_up(leader, n2)
    n2.stop()
    with leader.client() as ask:
        for number in range(1500):
            ask(f"PUT lost{number} {'v' * 100}")
    leader.stop()
    n2 = new_store("n2", port=n2.port, args=["--term=2"])
    with n2.client() as ask:
        for number in range(700):
            ask(f"PUT new{number} {'v' * 100}")
    again = new_store("n1", "follower", port=leader.port, args=[f"--leader={n2.port}"])
    assert "discarded 1500 writes after index 1" in again.wait_for_output("and 500 more")
    first, second = caught_up(n2, again)
    assert first["digest"] == second["digest"]
