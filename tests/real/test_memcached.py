"""memcached, described by hand in both its protocols, and as `kvsim init` describes it.

One node: its caches know nothing of each other. It keeps nothing over a restart, and says so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120
TEXT = """\
program: memcached
start: [memcached, -u, root, -l, "{host}", -p, "{port}", -U, "0"]
keeps: nothing
speak:
  kind: lines
  line_end: crlf
  counted: "^VALUE \\\\S+ \\\\d+ (?P<bytes>\\\\d+)$"
  until: {get: "^(?:END|(?:CLIENT_|SERVER_)?ERROR.*)$"}
requests:
  put: "set {key} 0 0 {value.bytes}\\r\\n{value}"
  get: "get {key}"
  delete: "delete {key}"
replies:
  put: {ok: "^STORED$"}
  get: {value: "(?s)^VALUE \\\\S+ \\\\d+ \\\\d+\\r\\n(?P<value>.*)\\r\\nEND$", not_found: "^END$"}
  delete: {ok: "^DELETED$", not_found: "^NOT_FOUND$"}
  any: {refused: "^(?:CLIENT_|SERVER_)?ERROR"}
"""
MORE = """\
capabilities: [roles]
guarantees: {writes: acked_by_leader, leader_reads: linearizable}
"""
CLUSTER = "cluster: cache\nprogram: node.yaml\nnodes: {n1: {role: leader, port: 21211}}\n"
SCENARIO = """\
scenario: cache
cluster: cluster.yaml
vars: {k: random_key, v: random_value, w: random_value}
steps:
  - put:    {at: leader, key: "{k}", value: "{v}"}
  - put:    {at: leader, key: "{k}", value: "{w}"}
  - get:    {at: leader, key: "{k}", expect: {value: "{w}"}}
  - delete: {at: leader, key: "{k}", expect: ok}
  - get:    {at: leader, key: "{k}", expect: not_found}
  - load:   {start: clients, clients: 5, keys: 6, mix: {put: 40, get: 50, delete: 10}}
  - sleep:  {for: 300ms, why: the load is what is waited for}
  - load:   {stop: clients}
  - put:    {at: leader, key: "{k}", value: "{v}"}
  - kill:   leader
  - start:  leader
  - get:    {at: leader, key: "{k}", expect: not_found}
checks: [load_linearizable, acknowledged_writes_survive, no_leftovers]
"""


def binary() -> str:
    """The description in the documentation of unusual stores."""
    page = (ROOT / "docs/unusual-stores.md").read_text()
    (found,) = re.findall(r"```yaml\n(program: memcached-binary\n.*?)```", page, re.DOTALL)
    return f"{found}keeps: nothing\n"


@pytest.fixture
def kvsim(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run kvsim in the folder of the test. Skips where memcached is missing."""
    if shutil.which("memcached") is None:
        pytest.skip("memcached is missing: make real-setup, or apt-get install memcached")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kvsim", *words]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    return call


def write(folder: Path, node: str) -> None:
    (folder / "node.yaml").write_text(node)
    (folder / "cluster.yaml").write_text(CLUSTER)
    (folder / "cache.yaml").write_text(SCENARIO)


@pytest.mark.parametrize("protocol", ["text", "binary"])
def test_a_cache_is_linearizable_and_empty_after_a_kill(kvsim, tmp_path, protocol):
    write(tmp_path, (TEXT if protocol == "text" else binary()) + MORE)
    done = kvsim("run", "cache.yaml", "--full")
    assert done.returncode == 0, done.stdout + done.stderr


def test_doctor_finds_no_error_in_its_binary_protocol(kvsim, tmp_path):
    write(tmp_path, binary() + MORE)
    done = kvsim("doctor", "node.yaml", "--json")
    errors = [row for row in json.loads(done.stdout) if row["status"] == "error"]
    assert not errors, errors


def test_init_describes_its_text_protocol(kvsim, tmp_path):
    """No roles: it has none, so nothing is proven, and the reason is said."""
    command = "memcached -u root -l {host} -p {port} -U 0"
    done = kvsim("init", "--program", command, "--nodes", "2")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "`roles` is not claimed" in done.stdout
    written = (tmp_path / "node.yaml").read_text()
    assert "keeps: nothing" in written
    assert 'put: "set {key} 0 0 {value.bytes}\\r\\n{value}"' in written
    write(tmp_path, written.replace("capabilities: []", MORE.splitlines()[0]))
    done = kvsim("run", "cache.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
