"""Real systems, described: Redis, etcd, PostgreSQL and a learner's binary."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.program import Role
from kvsim.config.protocol_schema import no_language
from kvsim.config.template import render
from kvsim.network.addresses import NodeAddress, names_for
from kvsim.runner.registry import REGISTRY

# The settings and requests of protocols are not checked here.
ANY_SETTING = replace(REGISTRY, language_of=no_language)

REDIS = """\
program: redis
start: [redis-server, "{data_dir}/redis.conf"]
start_follower: [--replicaof, "{leader.host}", "{leader.port}"]
role_words: {leader: master, follower: slave}
files:
  redis.conf: |
    port {port}
    bind {host}
    dir {data_dir}
    save ""
    replica-read-only {replica_read_only}
    client-output-buffer-limit normal 0 0 0
options: {replica_read_only: "yes"}
speak: resp
requests:
  put: [SET, "{key}", "{value}"]
  get: [GET, "{key}"]
  delete: [DEL, "{key}"]
  ping: [PING]
  info: [INFO, replication]
replies:
  read_only: "^-READONLY"
  not_ready: ["^-LOADING", "^-MASTERDOWN"]
  get: {not_found: "^$-1$", value: "(?s)^(?P<value>.*)$"}
status: {request: info, role: "role:(\\\\w+)", index: "master_repl_offset:(\\\\d+)"}
ready: {log: "Ready to accept connections", port: owned, ping: true}
cluster_ready: {request: {send: info, reply: "connected_slaves:|master_link_status:up"}}
"""
ETCD = """\
program: etcd
start:
  - etcd
  - --name={name}
  - --data-dir={data_dir}
  - --listen-client-urls=http://{addr}
  - --advertise-client-urls=http://{addr}
  - --listen-peer-urls=http://{host}:{ports.peer}
  - --initial-advertise-peer-urls=http://{host}:{ports.peer}
  - "--initial-cluster={all:{name}=http://{host}:{ports.peer}|,}"
ports: peer
order: together
capabilities: [elects, forwards, restart]
ready: {http: {url: /health, status: 200, body: '"health":"true"'}, within: 20s}
speak: {kind: http, timeout: 2s}
requests:
  put: {method: POST, path: /v3/kv/put, body: '{"key":"{key.base64}","value":"{value.base64}"}'}
  get: {method: POST, path: /v3/kv/range, body: '{"key":"{key.base64}"}'}
replies:
  put: {ok: {status: 200}}
  get: {not_found: '"header":\\\\{[^}]*\\\\}\\\\}$', value: {status: 200}}
"""
POSTGRES = """\
program: postgresql
start: [postgres, -D, "{data_dir}", -p, "{port}"]
user: postgres
init:
  - {run: [initdb, -D, "{data_dir}"], roles: leader, within: 1m}
  - run: [pg_basebackup, -R, -h, "{leader.host}", -p, "{leader.port}", -D, "{data_dir}"]
    roles: follower
    needs: leader
after_start:
  - {run: [psql, -p, "{port}", -c, "create table kv (k text primary key, v text)"], roles: [leader]}
stop:
  steps: [{signal: INT, wait: 5s}, {signal: QUIT, wait: 2s}]
  exit: 0
  pid_file: postmaster.pid
log: {mode: file, extra: "log/*.log"}
speak: command
requests: {get: {run: [psql, -p, "{port}", -Atc, "select v from kv where k = '{key}'"], stdin: ""}}
replies:
  get: {not_found: "^$", value: "^(?P<value>.*)$"}
  read_only: {stderr: read-only transaction, status: 1}
"""
LEARNER = """\
program: mine
start: [./build/kvstore, --port, "{port}", --data-dir, "{data_dir}", "--role={role}"]
speak: command
requests:
  put: [./build/kv_client, --port, "{port}", put, "{key}", "{value}"]
  get: [./build/kv_client, --port, "{port}", get, "{key}"]
replies:
  put: {ok: "^OK$", read_only: [{stderr: read.only}, "^ERR read.only"]}
  get: {not_found: NOT_FOUND, value: "^(?P<value>.*)$"}
log: pty
"""


@pytest.fixture
def cluster(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    (folder / "node.yaml").write_text(request.param)
    nodes = "{n1: {role: leader}, n2: {role: follower}, n3: {role: follower}}"
    if "elects" in request.param:
        nodes = "{n1: {}, n2: {}, n3: {}}"
    (folder / "cluster.yaml").write_text(f"cluster: c\nprogram: ./node.yaml\nnodes: {nodes}\n")
    return load_cluster("cluster.yaml", ANY_SETTING)


def names(cluster: Cluster, node: int) -> dict[str, object]:
    addresses = [
        NodeAddress(
            spec,
            "127.0.0.1",
            9000 + spec.id,
            f"/d/{spec.name}",
            dict.fromkeys(spec.program.ports, 9100 + spec.id),
        )
        for spec in cluster.nodes
    ]
    return names_for(cluster, addresses[node], addresses)


@pytest.mark.parametrize("cluster", [REDIS], indirect=True)
def test_redis(cluster: Cluster) -> None:
    follower = cluster.node("n2")
    argv = [render(word, names(cluster, 1)) for word in follower.program.start[Role.FOLLOWER]]
    assert argv == ["redis-server", "/d/n2/redis.conf", "--replicaof", "127.0.0.1", "9001"]
    assert 'save ""\nreplica-read-only yes\n' in render(
        follower.program.files["redis.conf"], names(cluster, 1)
    )
    assert follower.program.status.words["slave"] is Role.FOLLOWER
    assert follower.program.requests["put"] == ("SET", "{key}", "{value}")


@pytest.mark.parametrize("cluster", [ETCD], indirect=True)
def test_etcd(cluster: Cluster) -> None:
    program = cluster.nodes[0].program
    last = render(program.start[Role.LEADER][-1], names(cluster, 0))
    assert (
        last
        == "--initial-cluster=n1=http://127.0.0.1:9101,n2=http://127.0.0.1:9102,n3=http://127.0.0.1:9103"
    )
    assert program.requests["put"]["body"] == '{"key":"{key.base64}","value":"{value.base64}"}'
    assert program.ready.all_of[0].settings["status"] == frozenset({200})


@pytest.mark.parametrize("cluster", [POSTGRES], indirect=True)
def test_postgresql(cluster: Cluster) -> None:
    program = cluster.nodes[0].program
    assert [(command.roles, command.needs) for command in program.init] == [
        ({Role.LEADER}, None),
        ({Role.FOLLOWER}, "leader"),
    ]
    assert [step.signal for step in program.stop.steps] == ["INT", "QUIT"]
    assert program.replies["any"][0].stderr == "read-only transaction"


@pytest.mark.parametrize("cluster", [LEARNER], indirect=True)
def test_a_learners_binary(cluster: Cluster) -> None:
    program = cluster.nodes[0].program
    assert (program.speak.kind, program.log.mode, program.status) == ("command", "pty", None)
    assert [rule.outcome for rule in program.replies["put"]] == ["ok", "read_only", "read_only"]
