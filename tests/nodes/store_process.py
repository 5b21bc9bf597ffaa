"""Start and stop reference stores in tests, and send them requests. No mocks, no fixed sleeps."""

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
# one abstract socket a port: other test processes see it, and it ends with this process
reservations = []


def free_port():
    """Return a port below the ephemeral range that is free and reserved for this process."""
    for step in range(len(PORTS)):
        port = PORTS[(os.getpid() * 31 + len(reservations) + step) % len(PORTS)]
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0kvstore-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        reservations.append(reservation)
        return port
    raise RuntimeError("no free port")


class StoreProcess:
    """One node as a process: its port, its output so far, and a client of the line protocol."""

    def __init__(self, data_dir, role="leader", port=None, args=(), program=PROGRAM):
        self.port = port or free_port()
        self.data_dir = Path(data_dir)
        self.argv = [PYTHON, "-I", "-S", str(program)]
        self.argv += [f"--port={self.port}", f"--data-dir={data_dir}", f"--role={role}", *args]
        self.output = ""
        self.process = None

    def start(self):
        """Start and wait for the ready line; fails with the output if the node ends before."""
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.wait_for_output("listening on")
        return self

    def wait_for_output(self, text):
        """Wait until the node has written `text`; return all its output so far."""
        deadline_s = time.monotonic() + WAIT_S
        while text not in self.output:
            left_s = deadline_s - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left_s, 0))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"the node never wrote {text!r}; its output:\n{self.output}"
            self.output += data.decode()
        return self.output

    def finish(self):
        """Wait for the end; return (exit status, whole output)."""
        rest, _ = self.process.communicate(timeout=WAIT_S)
        self.output += rest.decode()
        return self.process.returncode, self.output

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait; return (exit status, whole output)."""
        self.process.send_signal(number)
        return self.finish()

    def close(self):
        """Kill the process if it still runs."""
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
        """Send one request on a new connection and return the reply."""
        with self.client() as ask:
            return ask(request)


def run_once(argv, **options):
    """Run the store to its end; return (exit status, stdout, stderr)."""
    command = [PYTHON, "-I", "-S", str(PROGRAM), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, **options)
    return done.returncode, done.stdout, done.stderr


def eventually(ask, accept, timeout_s=WAIT_S):
    """Ask until `accept(answer)` holds; return the answer, or fail with the last answer."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if accept(answer):
            return answer
        assert time.monotonic() < deadline_s, f"still not accepted; last answer: {answer!r}"
        time.sleep(0.005)


def take_snapshot(engine):
    """Make an engine of this process write a snapshot, and wait until it is the current one."""
    engine.start_snapshot()
    eventually(
        lambda: engine.tick() or engine.snapshot_process or engine.removing,
        lambda running: not running,
    )


def memory_kib(pid):
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
