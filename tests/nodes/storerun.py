"""Start and stop reference stores in tests, and talk to them. Small real things: no mocks, no sleeps."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

NODES = Path(__file__).resolve().parents[2] / "nodes"
PROGRAM = NODES / "kvstore" / "__main__.py"
PYTHON = str(Path(sys.executable).resolve())
WAIT_S = 20.0


PORTS = range(20_000, 24_000)
taken = []  # one abstract socket a port: other test processes see it, and it is gone when this process is


def free_port():
    """Return a port below the ephemeral range that nobody listens on and no other test process was given."""
    for step in range(len(PORTS)):
        port = PORTS[(os.getpid() * 31 + len(taken) + step) % len(PORTS)]
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0kvstore-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        taken.append(mark)
        return port
    raise RuntimeError("no free port")


class Store:
    """One node as a process: its port, its log lines so far, and a line-protocol client."""

    def __init__(self, data_dir, role="leader", port=None, args=(), program=PROGRAM):
        self.port = port or free_port()
        self.data_dir = Path(data_dir)
        self.argv = [PYTHON, "-I", "-S", str(program), f"--port={self.port}", f"--data-dir={data_dir}"]
        self.argv += [f"--role={role}", *args]
        self.said = ""
        self.process = None

    def start(self):
        """Start and wait for the ready line; fails with what the node said if it ends before."""
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.wait_said("listening on")
        return self

    def wait_said(self, text, since=0):
        """Wait until the node has said `text`, after the first `since` letters; return all it said so far."""
        deadline_s = time.monotonic() + WAIT_S
        while text not in self.said[since:]:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left_s, 0))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"the node never said {text!r}; it said:\n{self.said}"
            self.said += data.decode()
        return self.said

    def finish(self):
        """Wait for the end; return (exit status, everything said)."""
        rest, _ = self.process.communicate(timeout=WAIT_S)
        self.said += rest.decode()
        return self.process.returncode, self.said

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait; return (exit status, everything said)."""
        self.process.send_signal(number)
        return self.finish()

    def close(self):
        """Kill the process if it still lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=WAIT_S)
        if self.process is not None:
            self.process.stdout.close()

    @contextmanager
    def client(self):
        """A connection: a function from a request (without its newline) to the reply, both text."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as sock:
            reader = sock.makefile("rb")

            def ask(request):
                sock.sendall(request.encode() + b"\n")
                return reader.readline().decode().rstrip("\n")

            ask.sock, ask.reader = sock, reader
            yield ask
            reader.close()

    def ask(self, request):
        """Send one request on a connection of its own and return the reply."""
        with self.client() as ask:
            return ask(request)


def run_once(argv, **options):
    """Run the store to its end; return (exit status, stdout, stderr)."""
    done = subprocess.run(
        [PYTHON, "-I", "-S", str(PROGRAM), *argv], capture_output=True, text=True, timeout=WAIT_S, **options
    )
    return done.returncode, done.stdout, done.stderr


def eventually(ask, want, within_s=WAIT_S):
    """Ask until `want(answer)` holds; return the answer, or fail with the last one."""
    deadline_s = time.monotonic() + within_s
    while True:
        answer = ask()
        if want(answer):
            return answer
        assert time.monotonic() < deadline_s, f"never came; last answer: {answer!r}"
        time.sleep(0.005)


def memory_kib(pid):
    """Return how much memory a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
