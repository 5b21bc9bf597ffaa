"""Power cuts of real servers: what they say that they keep, they keep; a wrong option is found."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.real

CHECK = "acknowledged_writes_survive_power"


def judged(ran) -> int:
    return next(check["judged"] for check in ran.proof["checks"] if check["name"] == CHECK)


@pytest.mark.parametrize(
    ("system", "option"), [("redis", "appendfsync=always"), ("postgres", "fsync=on")]
)
def test_a_store_that_syncs_every_write_loses_nothing(play, system, option):
    ran = play("power", system, "-o", option)
    assert ran.status == 0, ran.stderr + ran.finding_texts()
    assert judged(ran) >= 10


def test_postgresql_without_fsync_is_found(play):
    ran = play("power", "postgres", "-o", "fsync=off")
    assert ran.status == 1


EVERY_SECOND = """\
scenario: every_second
title: What was acknowledged more than two seconds before a power cut is there after it
cluster: CLUSTER
vars: {a: random_key, b: random_key, v: random_value}
steps:
  - group: Writes, long before and just before a power cut
    steps:
      - put: {at: leader, key: "{a}", value: "{v}"}
      - sleep: {for: 2500ms, why: a write is synced within two seconds}
      - put: {at: leader, key: "{b}", value: "{v}"}
      - fault: {power_cut: leader, do: [{sleep: {for: 1ms, why: the machine is off}}]}
      - get: {at: leader, key: "{a}", expect: {value: "{v}"}, eventually: 10s}
      - get: {at: leader, key: "{b}", expect: served}
checks: [faults_have_evidence, acknowledged_writes_survive_power]
"""


def test_redis_that_syncs_every_second_loses_the_last_two_at_most(play, write_scenario):
    ran = play(write_scenario(EVERY_SECOND), "redis", "-o", "appendfsync=everysec")
    assert ran.status == 0, ran.stderr + ran.finding_texts()
    assert judged(ran) == 1


GO = """\
scenario: go
title: A program that kvsim cannot follow
cluster: CLUSTER
vars: {a: random_key, v: random_value}
steps:
  - group: A power cut
    steps:
      - put: {at: leader, key: "{a}", value: "{v}", eventually: 10s}
      - fault: {power_cut: leader, do: [{sleep: {for: 1ms, why: the machine is off}}]}
checks: [faults_have_evidence]
"""


def test_the_power_of_a_go_program_cannot_be_cut_and_the_run_says_so(play, write_scenario):
    ran = play(write_scenario(GO), "etcd")
    assert ran.status == 3
    assert "is a Go program, which calls the kernel without the C library" in ran.finding_texts()
