"""Other replicated stores of three nodes: PySyncObj's dictionary, which writes itself; etcd."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kvsim.process.ports import reserve

READY_TIMEOUT_S = 30.0
PYSYNCOBJ_NODE = """
import sys, threading, time
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.batteries import ReplDict
mine, others = sys.argv[1], sys.argv[2].split(",")
writers, count = int(sys.argv[3]), int(sys.argv[4])
data = ReplDict()
quick = SyncObjConf(appendEntriesUseBatch=True, autoTickPeriod=0.001, appendEntriesPeriod=0.001)
node = SyncObj(mine, others, consumers=[data], conf=quick)
while node._getLeader() is None:
    time.sleep(0.01)
if writers:
    done, lock, full = 0, threading.Semaphore(writers), threading.Event()
    def acked(*_):
        global done
        done += 1
        lock.release()
        if done == count:
            full.set()
    began = time.perf_counter()
    for number in range(count):
        lock.acquire()
        data.set("key:%012d" % number, "v" * 32, callback=acked)
    full.wait(60)
    print(done / (time.perf_counter() - began), flush=True)
else:
    time.sleep(600)
"""


def has_pysyncobj() -> bool:
    """Whether it is installed; if not, a line on stderr."""
    return _is_installed(importlib.util.find_spec("pysyncobj"), "PySyncObj")


def pysyncobj_rate(writers: int) -> float:
    """Writes per second to a replicated dictionary of three nodes, in memory.

    `writers` writes are under way at any time.
    """
    with reserve(3) as ports, ExitStack() as stack:
        addresses = [f"127.0.0.1:{port}" for port in ports.ports]
        nodes = []
        for number, mine in enumerate(addresses):
            others = ",".join(address for address in addresses if address != mine)
            argv = [
                sys.executable,
                "-c",
                PYSYNCOBJ_NODE,
                mine,
                others,
                str(writers if number == 0 else 0),
                "5000",
            ]
            nodes.append(
                subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
            stack.callback(nodes[-1].communicate)
            stack.callback(nodes[-1].kill)
        return float(nodes[0].communicate(timeout=120)[0])


def has_etcd() -> bool:
    """Whether it is installed; if not, a line on stderr."""
    return _is_installed(shutil.which("etcd"), "etcd (Debian package etcd-server)")


@contextmanager
def etcd(folder: Path) -> Iterator[int]:
    """Run three nodes on this machine until the block ends. Yields the leader's client port."""
    with reserve(6) as ports, ExitStack() as stack:
        clients, peers = ports.ports[:3], ports.ports[3:]
        cluster = ",".join(
            f"e{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers)
        )
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            argv = ["etcd", f"--name=e{number}", f"--data-dir={folder / f'etcd{number}'}"]
            argv += [f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}"]
            argv += [f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}"]
            argv += [f"--initial-cluster={cluster}"]
            node = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(node.wait)
            stack.callback(node.kill)
        yield _leader_of(clients)


def _leader_of(clients: list[int]) -> int:
    """The client port of the leader, once there is one. Raises RuntimeError after a time-out."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s:
        for client in clients:
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{client}/v3/maintenance/status", b"{}"
                )
                with urllib.request.urlopen(request, timeout=1) as reply:
                    status = json.load(reply)
            except OSError:
                continue
            if status.get("leader") == status["header"]["member_id"]:
                return client
        time.sleep(0.02)
    raise RuntimeError(f"etcd elected no leader within {READY_TIMEOUT_S:g} s")


def _is_installed(found: object, name: str) -> bool:
    if not found:
        print(f"# {name} is not installed: no figure for it", file=sys.stderr)
    return bool(found)
