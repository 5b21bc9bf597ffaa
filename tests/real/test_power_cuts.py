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
    (check,) = [check for check in ran.proof["checks"] if check["name"] == CHECK]
    assert check["verdict"] == "fail"
    first = check["findings"][0]["message"]
    assert "later n1 showed not found, after its power was cut" in first
    assert "its record stood in pg/" in first


EVERY_SECOND = """\
scenario: every_second
title: What was acknowledged more than two seconds before a power cut is there after it
cluster: CLUSTER
vars: {a: random_key, b: random_key, c: random_key, v: random_value}
steps:
  - group: Writes, long before and just before a power cut
    steps:
      - put: {at: leader, key: "{a}", value: "{v}"}
      - put: {at: leader, key: "{c}", value: "{v}"}
      - sleep: {for: 2500ms, why: a write is synced within two seconds}
      - put: {at: leader, key: "{b}", value: "{v}"}
      - fault: {power_cut: leader, do: [{sleep: {for: 1ms, why: the machine is off}}]}
      - get: {at: leader, key: "{a}", expect: {value: "{v}"}, eventually: 10s}
      - get: {at: leader, key: "{b}", expect: served}
      - get: {at: leader, key: "{a}", expect: {value: "{v}"}}
      - get: {at: leader, key: "{c}", expect: {value: "{v}"}}
checks: [faults_have_evidence, acknowledged_writes_survive_power]
"""

LOAD = """\
scenario: load
title: Of a load, what was acknowledged more than two seconds before a power cut is there after it
cluster: CLUSTER
vars: {a: random_key, v: random_value}
steps:
  - load: {start: writers, at: leader, clients: 3, mix: {put: 100}, keys: 5000, rate: 60}
  - sleep: {for: 4s, why: most of what is written has to be synced}
  - fault: {power_cut: leader, do: [{sleep: {for: 1ms, why: the machine is off}}]}
  - put: {at: leader, key: "{a}", value: "{v}", eventually: 10s}
  - sleep: {for: 500ms, why: something has to be written afterwards}
  - load: {stop: writers}
checks: [faults_have_evidence, load_lost_writes]
"""


def test_redis_that_syncs_every_second_loses_the_last_two_at_most(play, write_scenario):
    ran = play(write_scenario(EVERY_SECOND), "redis", "-o", "appendfsync=everysec")
    assert ran.status == 0, ran.stderr + ran.finding_texts()
    assert judged(ran) == 3


def test_of_a_load_redis_loses_what_was_acknowledged_in_the_last_two_seconds(play, write_scenario):
    ran = play(write_scenario(LOAD), "redis", "-o", "appendfsync=everysec")
    assert ran.status == 0, ran.stderr + ran.finding_texts()
    (load,) = [check for check in ran.proof["checks"] if check["name"] == "load_lost_writes"]
    assert load["judged"] >= 20


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
