"""Nodes that choose their leader: real processes, killed, paused and restarted."""

import json
import signal
import time

import pytest
from kvstore import membership, record
from kvstore.committed_engine import CommittedEngine
from store_process import StoreProcess, eventually, free_port, run_once

BASE = ["--port=9001", "--data-dir=/nonexistent/d"]


class ElectingStore(StoreProcess):
    """One node of a cluster that chooses its leader; its output goes to a file."""

    def __init__(self, folder, name, ports, args=()):
        super().__init__(folder / name, port=ports[name], args=args)
        self.name = name
        peers = ",".join(f"{n}=127.0.0.1:{port}" for n, port in ports.items() if n != name)
        self.argv = [word for word in self.argv if not word.startswith("--role")]
        self.argv += ["--elect", f"--name={name}", f"--peers={peers}"]

    def start(self):
        self.output = ""
        return super().start()

    def status(self):
        return json.loads(self.ask("STATUS"))

    def kill(self):
        self.close()


class Cluster:
    """Nodes by name; `leader()` waits until one node leads and a majority follows it."""

    def __init__(self, folder, names, args):
        ports = {name: free_port() for name in names}
        self.nodes = {name: ElectingStore(folder, name, ports, args) for name in names}
        for node in self.nodes.values():
            node.start()

    def running(self):
        return [node for node in self.nodes.values() if node.process.poll() is None]

    def find_leader(self, among):
        """The leader that a majority of all nodes names, if its own term has a commit."""
        facts = [node.status() for node in among]
        leaders = [
            (node, fact)
            for node, fact in zip(among, facts, strict=True)
            if fact["role"] == "leader" and fact["committed"] is not None
        ]
        for node, fact in leaders:
            named = sum(
                other["leader_name"] == node.name and other["term"] == fact["term"]
                for other in facts
            )
            if named > len(self.nodes) // 2:
                return node
        return None

    def leader(self, among=None):
        return eventually(lambda: self.find_leader(among or self.running()), bool)

    def others(self, *nodes):
        return [node for node in self.running() if node not in nodes]

    def settle(self):
        """Wait until all running nodes have committed and applied the same log."""

        def facts():
            seen = [node.status() for node in self.running()]
            return {(s["committed"], s["last_index"], s["chain"], s["digest"]) for s in seen}

        return eventually(facts, lambda seen: len(seen) == 1 and None not in next(iter(seen)))

    def put(self, key, value):
        """Write at whichever node leads, until it is acknowledged."""
        eventually(lambda: self.leader().ask(f"PUT {key} {value}"), lambda reply: reply == "OK")


@pytest.fixture
def elect(tmp_path):
    """Return a function that starts a cluster; all nodes are killed at the end."""
    clusters = []

    def new(size=3, *args):
        names = [f"n{number}" for number in range(1, size + 1)]
        clusters.append(Cluster(tmp_path, names, ("--fsync=always", *args)))
        return clusters[-1]

    yield new
    for cluster in clusters:
        for node in cluster.nodes.values():
            node.close()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--elect"], "--elect needs --peers"),
        (["--elect", "--name=n1"], "--elect needs --peers"),
        (["--elect", "--name=n1", "--peers="], "--elect needs --peers"),
        (["--elect", "--peers=n2=9002"], "--peers needs --name"),
        (["--elect=yes"], "--elect takes no value"),
        (
            ["--elect", "--name=n1", "--peers=n2=9002", "--role=leader"],
            "--role cannot be given with --elect: the nodes choose their leader",
        ),
        (["--elect", "--name=n1", "--peers=n2=9002", "--term=3"], "--term cannot be given"),
        (["--elect", "--name=n1", "--peers=n2=9002", "--nodes=3"], "--nodes cannot be given"),
        (
            ["--elect", "--name=n1", "--peers=n2=9002", "--replication=async"],
            "--replication must be majority with --elect",
        ),
        (["--elect", "--name=n1", "--peers=n2=9002", "--members=n1,n3"], "names 'n3'"),
        (["--elect", "--name=n1", "--peers=n2=9002", "--members=n1,n1"], "names a node twice"),
        (["--elect", "--name=n1", "--peers=n2=9002", "--election-timeout=0"], "must be a number"),
        (["--role=leader", "--members=n1"], "--members needs --elect"),
        (["--role=leader", "--election-timeout=1"], "--election-timeout needs --elect"),
        (["--name=n1"], "--role is missing"),
    ],
)
def test_a_wrong_flag_gives_one_clear_line(words, problem):
    status, out, err = run_once([*BASE, *words])
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_one_leader_is_elected_and_what_it_acknowledges_is_on_every_node(elect):
    cluster = elect()
    leader = cluster.leader()
    for number in range(20):
        assert leader.ask(f"PUT k{number} v{number}") == "OK"
    cluster.settle()
    for node in cluster.nodes.values():
        assert node.ask("GET k19") == "VALUE v19"
        assert node.ask("WAIT 21") == "OK"
        status = node.status()
        assert (status["applied"], status["keys"]) == (21, 20)
        assert status["members"] == ["n1", "n2", "n3"]
        assert status["leader"] == f"127.0.0.1:{leader.port}"
    follower = cluster.others(leader)[0]
    assert follower.ask("PUT a b") == f"ERR read-only, leader is on port {leader.port}"


@pytest.mark.slow
def test_every_acknowledged_write_survives_kill_after_kill_of_the_leader(elect):
    cluster = elect()
    terms = []
    for number in range(4):
        cluster.put(f"k{number}", "v")
        leader = cluster.leader()
        terms.append(leader.status()["term"])
        leader.kill()
        successor = cluster.leader()
        assert successor is not leader
        for earlier in range(number + 1):
            assert successor.ask(f"GET k{earlier}") == "VALUE v"
        leader.start()
    assert terms == sorted(set(terms))
    cluster.settle()


@pytest.mark.slow
def test_all_nodes_killed_and_started_again_have_terms_and_writes(elect):
    cluster = elect()
    cluster.put("a", "1")
    before = {name: node.status() for name, node in cluster.nodes.items()}
    for node in cluster.nodes.values():
        node.kill()
    for node in cluster.nodes.values():
        node.start()
    for name, node in cluster.nodes.items():
        status = node.status()
        assert status["term"] >= before[name]["term"]
        if status["term"] == before[name]["term"]:
            assert status["vote"] == before[name]["vote"]
    assert cluster.leader().ask("GET a") == "VALUE 1"
    cluster.settle()


@pytest.mark.slow
def test_a_paused_leader_is_replaced_and_then_follows_and_discards(elect):
    cluster = elect()
    old = cluster.leader()
    followers = cluster.others(old)
    term = old.status()["term"]
    for node in followers:
        node.process.send_signal(signal.SIGSTOP)
    with old.client() as ask:
        # no follower has it
        ask.sock.sendall(b"PUT lost 1\n")
        eventually(lambda: old.status()["last_index"], lambda last: last >= 2)
        old.process.send_signal(signal.SIGSTOP)
        for node in followers:
            node.process.send_signal(signal.SIGCONT)
        new = cluster.leader(followers)
        assert new.status()["term"] > term
        assert new.ask("PUT kept 2") == "OK"
        old.process.send_signal(signal.SIGCONT)
        reply = ask.reader.readline().decode()
    assert reply.startswith("ERR unknown: this write may have happened")
    cluster.settle()
    # the followers may have received it before they were stopped
    assert old.ask("GET lost") in ("NOT_FOUND", "VALUE 1")
    assert old.ask("GET kept") == "VALUE 2"
    old.wait_for_output(f"(led term {term})")


@pytest.mark.slow
def test_a_leader_without_a_majority_steps_down_and_serves_nothing(elect):
    cluster = elect()
    leader = cluster.leader()
    assert leader.ask("PUT a 1") == "OK"
    for node in cluster.others(leader):
        node.kill()
    assert leader.ask("PUT a 2").startswith("ERR unknown: this write may have happened")
    eventually(lambda: leader.status()["role"], lambda role: role != "leader")
    assert leader.ask("PUT a 3") == "ERR not ready: no leader is known"
    status = leader.status()
    # what no majority has is in the log and not shown
    assert status["last_index"] == 3
    assert status["applied"] == 2
    assert leader.ask("GET a") == "VALUE 1"
    leader.wait_for_output("no majority answered")


@pytest.mark.slow
def test_a_follower_that_was_away_does_not_disturb_the_leader(elect):
    cluster = elect()
    leader = cluster.leader()
    term = leader.status()["term"]
    away = cluster.others(leader)[0]
    away.process.send_signal(signal.SIGSTOP)
    for number in range(5):
        assert leader.ask(f"PUT k{number} v") == "OK"
    away.process.send_signal(signal.SIGCONT)
    eventually(lambda: away.status()["committed"], lambda committed: committed == 6)
    away.process.send_signal(signal.SIGSTOP)
    heard = time.monotonic()
    # longer than its election timeout
    eventually(lambda: leader.ask("GET k4"), lambda _: time.monotonic() - heard > 1.1)
    away.process.send_signal(signal.SIGCONT)
    cluster.settle()
    assert (leader.status()["term"], leader.status()["role"]) == (term, "leader")


def test_promote_transfers_the_leadership(elect):
    cluster = elect()
    old = cluster.leader()
    assert old.ask("PUT a 1") == "OK"
    term = old.status()["term"]
    target = cluster.others(old)[0]
    assert target.ask("PROMOTE FORCE").startswith("ERR PROMOTE FORCE cannot be used with --elect")
    assert target.ask("PROMOTE") == "OK"
    status = target.status()
    assert (status["role"], status["term"]) == ("leader", term + 1)
    assert target.ask("PROMOTE") == "OK"
    assert target.ask("GET a") == "VALUE 1"
    cluster.settle()


@pytest.mark.slow
def test_a_restarted_node_knows_nothing_of_commits_until_a_leader_tells(elect):
    cluster = elect()
    leader = cluster.leader()
    assert leader.ask("PUT a 1") == "OK"
    cluster.settle()
    for node in cluster.nodes.values():
        node.kill()
    leader.start()
    status = leader.status()
    assert [status[name] for name in ("committed", "applied", "keys", "digest")] == [None] * 4
    assert status["last_index"] == 2
    assert leader.ask("GET a") == "ERR not ready: this node does not know yet what is committed"
    assert leader.ask("PROMOTE").startswith("ERR not ready: ")


@pytest.mark.slow
def test_a_log_cut_by_snapshots_still_brings_a_new_node_up_to_date(elect, tmp_path):
    cluster = elect(3, "--snapshot-after=2000")
    leader = cluster.leader()
    away = cluster.others(leader)[0]
    away.kill()
    for number in range(100):
        assert leader.ask(f"PUT k{number} {'v' * 50}") == "OK"
    eventually(lambda: leader.status()["snapshot"], bool)
    away.start()
    cluster.settle()
    assert away.ask("GET k99") == f"VALUE {'v' * 50}"


# -- members ---------------------------------------------------------------------------------------


def at_leader(cluster, request):
    """Send a request to whichever node leads until it is not refused for a moment."""
    return eventually(
        lambda: cluster.leader().ask(request), lambda reply: not reply.startswith("ERR not ready")
    )


def members_of(cluster):
    return {tuple(node.status()["members"]) for node in cluster.running()}


def test_a_member_is_added_and_then_counts(elect):
    cluster = elect(4, "--members=n1,n2,n3")
    n4 = cluster.nodes["n4"]
    cluster.put("a", "1")
    leader = cluster.leader()
    assert n4.status()["members"] == ["n1", "n2", "n3"]
    assert n4.ask("MEMBER ADD n4").startswith("ERR ")
    assert at_leader(cluster, "MEMBER ADD n4") == "OK"
    assert at_leader(cluster, "MEMBER ADD n4") == "ERR n4 is a member already"
    cluster.settle()
    assert members_of(cluster) == {("n1", "n2", "n3", "n4")}
    # now three of four are a majority, and two are none
    gone = cluster.others(leader, n4)[0]
    gone.kill()
    assert n4.ask("GET a") == "VALUE 1"
    assert at_leader(cluster, "PUT a 2") == "OK"
    assert n4.ask("PROMOTE") == "OK"
    assert n4.ask("PUT a 3") == "OK"


@pytest.mark.slow
def test_a_removed_member_neither_votes_nor_leads(elect):
    cluster = elect()
    cluster.put("a", "1")
    leader = cluster.leader()
    removed = cluster.others(leader)[0]
    assert leader.ask(f"MEMBER REMOVE {removed.name}") == "OK"
    eventually(lambda: members_of(cluster), lambda members: len(members) == 1)
    assert removed.ask("PROMOTE") == "ERR not ready: this node is no member"
    other = cluster.others(leader, removed)[0]
    leader.kill()
    # one of two is no majority, whatever the removed node does
    assert other.ask("PROMOTE").startswith("ERR not ready")
    leader.start()
    assert cluster.leader().name != removed.name
    assert at_leader(cluster, f"MEMBER ADD {removed.name}") == "OK"
    cluster.settle()


@pytest.mark.slow
def test_a_leader_that_removes_itself_steps_down(elect):
    cluster = elect()
    cluster.put("a", "1")
    leader = cluster.leader()
    assert leader.ask(f"MEMBER REMOVE {leader.name}") == "OK"
    successor = cluster.leader(cluster.others(leader))
    assert successor.ask("GET a") == "VALUE 1"
    assert leader.status()["role"] == "follower"
    cluster.settle()
    assert members_of(cluster) == {tuple(sorted(node.name for node in cluster.others(leader)))}


@pytest.mark.slow
def test_members_are_known_after_restarts_and_snapshots(elect):
    cluster = elect(4, "--members=n1,n2,n3", "--snapshot-after=2000")
    cluster.put("a", "1")
    assert at_leader(cluster, "MEMBER ADD n4") == "OK"
    for number in range(60):
        cluster.put(f"k{number}", "v" * 50)
    cluster.settle()
    for node in cluster.nodes.values():
        eventually(lambda node=node: node.status()["snapshot"], bool)
        node.kill()
    for node in cluster.nodes.values():
        node.start()
        assert node.status()["members"] == ["n1", "n2", "n3", "n4"]
    cluster.put("b", "2")
    cluster.settle()


@pytest.mark.slow
def test_a_node_without_an_address_is_added_with_one(elect, tmp_path):
    cluster = elect()
    cluster.put("a", "1")
    ports = {name: node.port for name, node in cluster.nodes.items()} | {"n4": free_port()}
    n4 = ElectingStore(tmp_path, "n4", ports, ("--fsync=always", "--members=n1,n2,n3"))
    cluster.nodes["n4"] = n4
    n4.start()
    leader = cluster.leader()
    assert leader.ask("MEMBER ADD n4").startswith("ERR this node has no address for 'n4'")
    assert leader.ask("MEMBER ADD n4 nowhere") == "ERR 'nowhere' is not HOST:PORT"
    assert leader.ask(f"MEMBER ADD n4 127.0.0.1:{n4.port}") == "OK"
    cluster.settle()
    assert members_of(cluster) == {("n1", "n2", "n3", "n4")}


@pytest.mark.slow
def test_a_change_of_members_that_cannot_be_made_is_refused(elect):
    cluster = elect()
    cluster.put("a", "1")
    leader = cluster.leader()
    assert leader.ask("MEMBER REMOVE n9") == "ERR n9 is no member"
    assert leader.ask("MEMBER GROW n9").startswith("ERR wrong arguments for MEMBER; usage: ")
    assert leader.ask("MEMBER REMOVE n1 127.0.0.1:9001").startswith("ERR wrong arguments")
    follower = cluster.others(leader)[0]
    assert follower.ask("MEMBER REMOVE n1").startswith("ERR read-only, leader is on port")


def test_without_elect_members_are_fixed(new_store):
    assert new_store().ask("MEMBER ADD n2") == "ERR MEMBER needs --elect"


# -- without processes -----------------------------------------------------------------------------


def records(engine, *payloads, term=1):
    """Return records that follow the log of an engine, one command each."""
    packed, last, chain = [], engine.log.last, engine.log.chain
    for payload in payloads:
        data, chain = record.encode(payload, term, 1, last + 1, chain)
        last += 1
        packed.append(data)
    return packed


def test_a_follower_applies_what_is_committed_and_discards_nothing_of_it(tmp_path):
    engine = CommittedEngine(str(tmp_path))
    for data in records(engine, *(record.encode_set(b"k%d" % number, b"v") for number in range(3))):
        engine.apply_record(data)
    engine.commit()
    assert (engine.log.last, engine.applied, dict(engine.data)) == (3, 0, {})
    first = engine.log.record_ends(10)[2]
    engine.advance(2)
    assert dict(engine.data) == {b"k0": b"v", b"k1": b"v"}
    with pytest.raises(ValueError, match="index 2 is committed"):
        engine.rewind(*first)
    second = engine.log.record_ends(10)[1]
    assert len(engine.rewind(*second)) == 2
    assert (engine.log.last, engine.applied) == (2, 2)
    engine.close()
    again = CommittedEngine(str(tmp_path))
    # it has the log, and knows nothing of what is committed
    assert (again.log.last, again.commit_is_known, dict(again.data)) == (2, False, {})
    again.close()


def test_a_leader_that_steps_down_goes_back_to_the_committed_state(tmp_path):
    engine = CommittedEngine(str(tmp_path))
    engine.lead()
    engine.open_term(1)
    engine.put(b"a", b"1")
    engine.commit()
    engine.advance(2)
    assert engine.all_is_committed
    engine.put(b"a", b"2")
    engine.delete(b"a")
    assert (engine.applied, engine.get(b"a"), engine.all_is_committed) == (4, None, False)
    engine.stop_leading()
    assert (engine.applied, engine.get(b"a"), engine.log.last) == (2, b"1", 4)
    engine.advance(4)
    assert engine.get(b"a") is None
    engine.close()


def test_a_snapshot_waits_until_the_log_before_it_is_committed(tmp_path):
    engine = CommittedEngine(str(tmp_path), snapshot_after=1)
    engine.lead()
    engine.put(b"a", b"1")
    engine.tick()
    assert engine.snapshot_process is None
    engine.put(b"a", b"2")
    engine.commit()
    engine.advance(1)
    engine.start_snapshot()
    eventually(
        lambda: engine.tick() or engine.snapshot_process or engine.removing,
        lambda running: not running,
    )
    assert engine.snapshot_index == 1
    engine.close()


def test_a_configuration_is_found_in_the_log_again(tmp_path):
    engine = CommittedEngine(str(tmp_path))
    engine.lead()
    members = {"n1": "", "n2": "", "n4": "127.0.0.1:9004"}
    assert engine.append_configuration(members) == 1
    engine.close()
    again = CommittedEngine(str(tmp_path))
    assert again.configurations == {1: "n1,n2,n4=127.0.0.1:9004"}
    assert membership.decode(again.configurations[1]) == members
    again.advance(1)
    assert dict(again.data) == {}
    again.close()
