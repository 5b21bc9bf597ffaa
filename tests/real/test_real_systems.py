"""Redis, etcd and PostgreSQL keep what they guarantee; a Redis that may diverge is reported."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    ("system", "scenario"),
    [
        ("redis", "replicas"),
        ("redis", "survives"),
        ("redis", "cas"),
        ("postgres", "replicas"),
        ("postgres", "survives"),
        ("postgres", "cas"),
        ("etcd", "forwarding"),
        ("etcd", "forwarding_survives"),
        ("etcd", "elections/all_killed"),
        ("etcd", "elections/vote_survives"),
        ("etcd", "elections/leader_killed"),
    ],
)
def test_a_real_system_passes(play, system, scenario):
    ran = play(scenario, system)
    assert ran.proof.get("verdict") == "pass", ran.stderr + ran.finding_texts()
    assert ran.status == 0


def test_etcd_passes_the_elections_that_need_links(play):
    """Figure 8 of the Raft paper; its links are those between network namespaces."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    ran = play("elections/figure_8", "storm-etcd")
    assert ran.proof.get("verdict") == "pass", ran.stderr + ran.finding_texts()


def test_a_redis_whose_replicas_take_writes_diverges(play):
    ran = play("replicas", "redis", "-o", "replica_read_only=no")
    assert ran.status == 1
    assert "accepted, and the replicas diverged: the leader does not have it" in ran.finding_texts()


def test_the_proof_of_a_forwarding_store_says_that_the_leader_has_what_a_follower_took(play):
    ran = play("forwarding", "etcd")
    effects = {claim.get("effect") for claim in ran.proof["claims"]}
    assert "accepted and forwarded: the leader has it" in effects


def test_a_refusal_on_stderr_is_shown_in_the_proof(play, folder):
    play("replicas", "postgres")
    assert "read-only transaction" in (folder / "latest" / "proof.txt").read_text()


def test_a_replica_stopped_right_after_the_start_ends_when_it_is_asked_to(play):
    """Redis refuses TERM while it writes its first append-only file; `cluster_ready` waits."""
    ran = play("replicas", "redis")
    assert not [c for c in ran.proof["checks"] if c["name"] == "exits_clean" and c["findings"]]
