"""A store that with a chosen fault: `store.py --port=… --data-dir=… --role=… --how=BEHAVIOUR`.

It speaks the line protocol of the reference store. BEHAVIOURS lists what it can do wrong, and it
does nothing else wrong. A script that uses the standard library only; the tests start it through
kvsim.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

STORE: dict[str, str] = {}
MEGABYTE = b"x" * (1 << 20)


class Store:
    """The correct store. A behaviour is a subclass that does one thing differently."""

    # An empty host means that of --host.
    family, host, reuse_port = socket.AF_INET, "", False

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.port = options.port

    # --- start and end ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Called first."""

    def signals(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    def log(self, text: str) -> None:
        print(text, flush=True)

    def listen(self) -> socket.socket:
        listener = socket.socket(self.family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((self.host or self.options.host, self.port))
        listener.listen(16)
        return listener

    def run(self) -> None:
        self.begin()
        self.signals()
        self.log(f"[node] starting as {self.options.role.upper()} on port {self.options.port}")
        listener = self.listen()
        self.listening(listener)
        self.log(f"[node] listening on port {self.port}")
        while True:
            self.accepted(listener.accept()[0])

    def listening(self, listener: socket.socket) -> None:
        """Called when the port is open and no request is served yet."""

    def accepted(self, client: socket.socket) -> None:
        threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    # --- requests ---------------------------------------------------------------------------------

    def serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            for line in lines:
                try:
                    if not self.reply(
                        client, self.answer(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
                    ):
                        return
                except OSError:
                    return

    def answer(self, line: str) -> bytes:
        verb, _, rest = line.partition(" ")
        key, _, value = rest.partition(" ")
        if verb == "PING":
            return b"PONG"
        if verb == "GET":
            return (
                f"VALUE {STORE[key]}".encode("utf-8", "surrogateescape")
                if key in STORE
                else b"NOT_FOUND"
            )
        if self.options.role == "follower":
            return b"ERR read-only: this node is a follower"
        if verb == "PUT":
            STORE[key] = value
            return b"OK"
        return b"OK" if STORE.pop(key, None) is not None else b"NOT_FOUND"

    def reply(self, client: socket.socket, data: bytes) -> bool:
        """Send one reply; False ends the connection."""
        client.sendall(data + b"\n")
        return True


# --- logs and starting ----------------------------------------------------------------------------


class PrintsNothing(Store):
    def log(self, text: str) -> None:
        pass


class ServesLate(Store):
    def listening(self, listener: socket.socket) -> None:
        time.sleep(0.3)


class GoesIntoTheBackground(Store):
    def begin(self) -> None:
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        (Path(self.options.data_dir) / "pid").write_text(f"{os.getpid()}\n")


class FloodsItsLog(Store):
    def listening(self, listener: socket.socket) -> None:
        threading.Thread(target=self.flood, daemon=True).start()

    def flood(self) -> None:
        while True:
            os.write(1, MEGABYTE)


class WildLog(Store):
    def log(self, text: str) -> None:
        os.write(1, b"\x1b[31m\xff\xfe\x00 " + text.encode() + b"\x1b[0m\n")


class DiesAtStart(Store):
    def begin(self) -> None:
        print("cannot read the configuration", file=sys.stderr)
        os._exit(3)


class ExitsWithZero(Store):
    def begin(self) -> None:
        os._exit(0)


class WaitsOnStdin(Store):
    def begin(self) -> None:
        if not sys.stdin.readline():
            print("end of input, bye", flush=True)
            os._exit(0)


class KeepsALockFile(Store):
    def begin(self) -> None:
        lock = Path(self.options.data_dir) / "LOCK"
        if lock.exists():
            print("LOCK exists, is another one running?", flush=True)
            os._exit(4)
        lock.touch()


# --- ports ----------------------------------------------------------------------------------------


class SharesItsPort(Store):
    """A hidden second process takes a share of the connections.

    It has its own session and no tag in its environment.
    """

    reuse_port = True

    def listening(self, listener: socket.socket) -> None:
        reading, writing = os.pipe()
        if os.fork():
            os.close(writing)
            # Wait until the other process listens too.
            os.read(reading, 1)
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        os.set_inheritable(writing, True)
        share = [
            f"--port={self.port}",
            "--role=leader",
            f"--data-dir={writing}",
            "--how=second_share",
        ]
        os.execve(sys.executable, [sys.executable, "-I", __file__, *share], {})


class SecondShare(Store):
    reuse_port = True

    def listening(self, listener: socket.socket) -> None:
        os.write(int(self.options.data_dir), b"!")


class ListensOnIpv6(Store):
    family, host = socket.AF_INET6, "::1"


class ListensOnLoopbackOnly(Store):
    host = "127.0.0.1"


class ListensElsewhere(Store):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        # Any free port.
        self.port = 0

    def log(self, text: str) -> None:
        print("[node] listening on port, somewhere", flush=True)


# --- ends -----------------------------------------------------------------------------------------


class IgnoresSignals(Store):
    def signals(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class LeavesAChild(Store):
    def listening(self, listener: socket.socket) -> None:
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.setsid()
            while True:
                time.sleep(60)


class DiesOnAPut(Store):
    def answer(self, line: str) -> bytes:
        if line.startswith("PUT"):
            print("about to die of a put", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().answer(line)


# --- replies --------------------------------------------------------------------------------------


class NeverAnswers(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        return True


class AnswersLate(Store):
    """Answers later than kvsim waits, on the same connection.

    So the next request could read this reply.
    """

    def reply(self, client: socket.socket, data: bytes) -> bool:
        time.sleep(0.2)
        return super().reply(client, data)


class AnswersTwice(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        client.sendall(data + b"\n" + data + b"\n")
        return True


class SendsNoNewline(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        client.sendall(data)
        return True


class SendsNulBytes(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        return super().reply(client, data + b"\0\0")


class SendsFiftyMegabytes(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        for _ in range(50):
            client.sendall(MEGABYTE)
        return super().reply(client, data)


class SpeaksFirst(Store):
    def serve(self, client: socket.socket) -> None:
        client.sendall(b"WELCOME to my store\n")
        super().serve(client)


class ClosesAfterEachReply(Store):
    def reply(self, client: socket.socket, data: bytes) -> bool:
        super().reply(client, data)
        return False


class ResetsOnAccept(Store):
    def accepted(self, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


class OneAtATime(Store):
    def accepted(self, client: socket.socket) -> None:
        self.serve(client)


class RefusesAndStores(Store):
    def answer(self, line: str) -> bytes:
        verb, _, rest = line.partition(" ")
        if verb == "PUT" and self.options.role == "follower":
            key, _, value = rest.partition(" ")
            STORE[key] = value
        return super().answer(line)


# --- behaviours that only `kvsim doctor` finds ----------------------------------------------------


class BuffersItsLog(Store):
    def log(self, text: str) -> None:
        print(text)

    def signals(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class SharesWithItself(Store):
    reuse_port = True


class ListensWide(Store):
    host = "0.0.0.0"


class WritesWhereItStands(Store):
    def begin(self) -> None:
        Path("state.db").write_text("here")


class DiesOfABrokenPipe(Store):
    def begin(self) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def reply(self, client: socket.socket, data: bytes) -> bool:
        # Several writes, so that the second write gets the reset.
        for byte in data + b"\n":
            client.sendall(bytes([byte]))
        return True


class TakesEachReadForARequest(Store):
    def serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                self.reply(client, self.answer(data.decode("utf-8", "replace").splitlines()[0]))


class CutsValuesAtASpace(Store):
    def answer(self, line: str) -> bytes:
        return super().answer(" ".join(line.split()[:3]))


class RefusesParts(Store):
    """Answers a request that arrives in pieces with an error."""

    def serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                whole = data.endswith(b"\n")
                while not data.endswith(b"\n"):
                    data += client.recv(1 << 16)
                text = data.decode("utf-8", "surrogateescape").rstrip("\n")
                for line in text.split("\n"):
                    self.reply(client, self.answer(line) if whole else b"ERR cut")


class AnswersOutOfOrder(Store):
    """Answers the requests of one packet, the last one first."""

    def serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                while not data.endswith(b"\n"):
                    data += client.recv(1 << 16)
                for line in reversed(data.decode("utf-8", "surrogateescape").splitlines()):
                    self.reply(client, self.answer(line))


class CrashesOnAUsedPort(Store):
    def listen(self) -> socket.socket:
        try:
            return super().listen()
        except OSError:
            os.kill(os.getpid(), signal.SIGSEGV)
            raise


class StopsListening(Store):
    """Answers one more client after the first has gone, and then no other."""

    gone = 0

    def listening(self, listener: socket.socket) -> None:
        self.listener = listener

    def serve(self, client: socket.socket) -> None:
        super().serve(client)
        type(self).gone += 1
        if self.gone == 2:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            threading.Event().wait()

    def accepted(self, client: socket.socket) -> None:
        self.serve(client)


class ServesOneClient(StopsListening):
    """Closes its listener when its first client has gone."""

    gone = 1


class HasNoHandler(Store):
    def signals(self) -> None:
        pass


class RefusesEverything(Store):
    def answer(self, line: str) -> bytes:
        return b"PONG" if line == "PING" else b"ERR not today"


class NeedsFollowers(Store):
    """A leader that ends when it is given none."""

    def begin(self) -> None:
        if self.options.role == "leader" and not self.options.followers:
            sys.exit("a leader needs followers")


class ThirdLeads(CutsValuesAtASpace):
    """Of three nodes that elect, n3 leads; the others refuse writes."""

    def begin(self) -> None:
        self.options.role = "leader" if self.options.name == "n3" else "follower"

    def answer(self, line: str) -> bytes:
        return self.options.role.encode() if line == "ROLE" else super().answer(line)


BEHAVIOURS: dict[str, type[Store]] = {
    "refuses_parts": RefusesParts,
    "answers_out_of_order": AnswersOutOfOrder,
    "crashes_on_a_used_port": CrashesOnAUsedPort,
    "stops_listening": StopsListening,
    "serves_one_client": ServesOneClient,
    "has_no_handler": HasNoHandler,
    "refuses_everything": RefusesEverything,
    "needs_followers": NeedsFollowers,
    "third_leads": ThirdLeads,
    "buffers_its_log": BuffersItsLog,
    "shares_with_itself": SharesWithItself,
    "listens_wide": ListensWide,
    "writes_where_it_stands": WritesWhereItStands,
    "dies_of_a_broken_pipe": DiesOfABrokenPipe,
    "takes_each_read_for_a_request": TakesEachReadForARequest,
    "cuts_values_at_a_space": CutsValuesAtASpace,
    "well_behaved": Store,
    "prints_nothing": PrintsNothing,
    "serves_late": ServesLate,
    "background": GoesIntoTheBackground,
    "floods_its_log": FloodsItsLog,
    "wild_log": WildLog,
    "dies_at_start": DiesAtStart,
    "exits_with_zero": ExitsWithZero,
    "waits_on_stdin": WaitsOnStdin,
    "keeps_a_lock_file": KeepsALockFile,
    "shares_its_port": SharesItsPort,
    "second_share": SecondShare,
    "ipv6": ListensOnIpv6,
    "loopback_only": ListensOnLoopbackOnly,
    "elsewhere": ListensElsewhere,
    "ignores_signals": IgnoresSignals,
    "leaves_a_child": LeavesAChild,
    "dies_on_a_put": DiesOnAPut,
    "never_answers": NeverAnswers,
    "answers_late": AnswersLate,
    "answers_twice": AnswersTwice,
    "no_newline": SendsNoNewline,
    "nul_bytes": SendsNulBytes,
    "fifty_megabytes": SendsFiftyMegabytes,
    "speaks_first": SpeaksFirst,
    "closes_after_each_reply": ClosesAfterEachReply,
    "resets_on_accept": ResetsOnAccept,
    "one_at_a_time": OneAtATime,
    "refuses_and_stores": RefusesAndStores,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--role")
    parser.add_argument("--leader")
    parser.add_argument("--how", choices=BEHAVIOURS)
    parser.add_argument("--name")
    parser.add_argument("--followers")
    options = parser.parse_args()
    BEHAVIOURS[options.how](options).run()


if __name__ == "__main__":
    main()
