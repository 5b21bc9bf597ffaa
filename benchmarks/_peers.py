"""Other replicated stores of three nodes, started for a benchmark: PySyncObj's dictionary, which drives itself, and etcd."""

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

READY_WITHIN_S = 30.0
PEER = """
import sys, threading, time
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.batteries import ReplDict
mine, others, writers, count = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])
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
    """Whether it is installed; says so on stderr when it is not."""
    return _there(importlib.util.find_spec("pysyncobj"), "PySyncObj")


def pysyncobj_rate(writers: int) -> float:
    """Writes a second to a replicated dictionary of three nodes, in memory, with so many outstanding."""
    with reserve(3) as ports, ExitStack() as stack:
        addresses = [f"127.0.0.1:{port}" for port in ports.ports]
        nodes = []
        for number, mine in enumerate(addresses):
            others = ",".join(address for address in addresses if address != mine)
            argv = [sys.executable, "-c", PEER, mine, others, str(writers if number == 0 else 0), "5000"]
            nodes.append(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
            stack.callback(nodes[-1].communicate)
            stack.callback(nodes[-1].kill)
        return float(nodes[0].communicate(timeout=120)[0])


def has_etcd() -> bool:
    """Whether it is installed; says so on stderr when it is not."""
    return _there(shutil.which("etcd"), "etcd (Debian package etcd-server)")


@contextmanager
def etcd(folder: Path) -> Iterator[int]:
    """Run three nodes on this machine until the block ends; yields the port at which the leader's clients come."""
    with reserve(6) as ports, ExitStack() as stack:
        clients, peers = ports.ports[:3], ports.ports[3:]
        everybody = ",".join(f"e{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            argv = ["etcd", f"--name=e{number}", f"--data-dir={folder / f'etcd{number}'}"]
            argv += [f"--listen-client-urls={here}", f"--advertise-client-urls={here}"]
            argv += [f"--listen-peer-urls={there}", f"--initial-advertise-peer-urls={there}"]
            argv += [f"--initial-cluster={everybody}"]
            node = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(node.wait)
            stack.callback(node.kill)
        yield _leader_of(clients)


def _leader_of(clients: list[int]) -> int:
    """The client port of the node that leads, once there is one; raises RuntimeError when there is none in time."""
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        for client in clients:
            try:
                asked = urllib.request.Request(f"http://127.0.0.1:{client}/v3/maintenance/status", b"{}")
                with urllib.request.urlopen(asked, timeout=1) as reply:
                    status = json.load(reply)
            except OSError:
                continue
            if status.get("leader") == status["header"]["member_id"]:
                return client
        time.sleep(0.02)
    raise RuntimeError(f"etcd chose no leader within {READY_WITHIN_S:g} s")


def _there(found: object, name: str) -> bool:
    if not found:
        print(f"# {name} is not installed: no figure for it", file=sys.stderr)
    return bool(found)
