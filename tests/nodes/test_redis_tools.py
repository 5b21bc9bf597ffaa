"""Redis' own tools with the reference store: redis-cli, redis-benchmark, the Python package."""

import shutil
import subprocess

import pytest
from store_process import WAIT_S, eventually

pytestmark = pytest.mark.real


def tool(name):
    """Return the path of one of Redis' tools; skip the test if it is not installed."""
    return shutil.which(name) or pytest.skip(
        f"{name} is not installed (Debian package redis-tools)"
    )


def cli(store, *words):
    command = [tool("redis-cli"), "-p", str(store.port), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    return done.stdout.strip()


def test_redis_cli(new_store):
    leader = new_store(args=["--replication=async"])
    follower = new_store("n2", "follower", args=[f"--leader={leader.port}"])
    assert cli(leader, "PING") == "PONG"
    assert cli(leader, "SET", "k", "two words") == "OK"
    assert cli(leader, "GET", "k") == "two words"
    assert cli(leader, "EXISTS", "k", "none") == "1"
    assert cli(leader, "DBSIZE") == "1"
    assert "role:master" in cli(leader, "INFO")
    assert cli(follower, "SET", "k", "x") == f"READONLY read-only, leader is on port {leader.port}"
    assert eventually(lambda: cli(follower, "GET", "k"), lambda value: value == "two words")
    assert cli(follower, "ROLE").splitlines()[:2] == ["slave", "127.0.0.1"]
    assert cli(leader, "ROLE").splitlines()[0] == "master"
    assert cli(leader, "DEL", "k") == "1"


def test_redis_benchmark(new_store):
    store = new_store()
    for pipeline in ("1", "16"):
        command = [tool("redis-benchmark"), "-p", str(store.port), "-n", "20000", "-P", pipeline]
        command += ["-q", "--csv", "-t", "ping_inline,ping_mbulk,set,get"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert [line.split(",")[0] for line in done.stdout.splitlines()[1:]] == [
            '"PING_INLINE"',
            '"PING_MBULK"',
            '"SET"',
            '"GET"',
        ]


def test_the_redis_package(new_store):
    redis = pytest.importorskip("redis", reason="the Python package redis is not installed")
    if not hasattr(redis, "Redis"):
        pytest.skip(
            "the Python package redis is not installed (the folder nodes/redis was found instead)"
        )
    leader = new_store(args=["--replication=async"])
    follower = new_store("n2", "follower", args=[f"--leader={leader.port}"])
    with redis.Redis(port=leader.port) as client:
        assert client.ping()
        assert client.set("k", b"\x00\r\n\xff")
        assert client.get("k") == b"\x00\r\n\xff"
        with client.pipeline(transaction=False) as pipeline:
            for number in range(100):
                pipeline.set(f"k{number}", number)
                pipeline.get(f"k{number}")
            assert pipeline.execute()[-1] == b"99"
        assert client.delete("k", "k1", "none") == 2
        assert client.dbsize() == 99
    with redis.Redis(port=follower.port) as client, pytest.raises(redis.exceptions.ReadOnlyError):
        client.set("k", "v")
