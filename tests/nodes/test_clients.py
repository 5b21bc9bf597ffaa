"""A client that misbehaves harms no other client; many clients are served at the same time."""

import resource
import signal
import socket

from store_process import eventually, memory_kib


def connect(store):
    return socket.create_connection(("127.0.0.1", store.port), timeout=180)


def test_half_a_line_waits_and_harms_no_other_client(new_store):
    store = new_store()
    with connect(store) as half, store.client() as ask:
        half.sendall(b"PUT k ")
        assert ask("PUT other 1") == "OK"
        assert ask("GET k") == "NOT_FOUND"
        half.sendall(b"late\n")
        assert half.recv(100) == b"OK\n"
        assert ask("GET k") == "VALUE late"


def test_megabytes_without_a_newline_get_a_single_error_and_the_connection_stays_open(new_store):
    store = new_store()
    with connect(store) as sock, store.client() as ask:
        sock.sendall(b"x" * 3_000_000)
        assert sock.recv(200).startswith(b"ERR line longer than")
        assert ask("PING") == "PONG"
        sock.sendall(b"still the same line\nPING\n")
        assert sock.recv(200) == b"PONG\n"


def test_binary_data_gets_an_error_a_line_and_changes_nothing(new_store):
    store = new_store()
    with store.client() as ask:
        ask("PUT k v")
        ask.sock.sendall(bytes(range(1, 256)) + b"\n\x00\xff\n")
        assert ask.reader.readline().startswith(b"ERR ")
        assert ask.reader.readline().startswith(b"ERR ")
        assert ask.reader.readline().startswith(b"ERR ")
        assert ask("GET k") == "VALUE v"


def test_two_hundred_clients_at_once(new_store):
    store = new_store()
    clients = [connect(store) for _ in range(200)]
    try:
        for number, client in enumerate(clients):
            client.sendall(f"PUT k{number} {number}\nGET k{number}\n".encode())
        for number, client in enumerate(clients):
            expected = f"OK\nVALUE {number}\n".encode()
            got = b""
            while len(got) < len(expected):
                got += client.recv(100)
            assert got == expected
    finally:
        for client in clients:
            client.close()
    assert store.ask("GET k199") == "VALUE 199"


def test_a_client_that_never_reads_waits_and_memory_stays_bounded(new_store):
    store = new_store()
    with store.client() as ask:
        ask("PUT big " + "v" * 1_000_000)
        before_kib = memory_kib(store.process.pid)
        with connect(store) as silent:
            # five gigabytes of replies, if all were answered
            silent.sendall(b"GET big\n" * 5_000)
            assert ask("GET nothing") == "NOT_FOUND"
            assert memory_kib(store.process.pid) - before_kib < 40_000
            read = 0
            while read < 20_000_000:
                read += len(silent.recv(1 << 20))
        assert ask("PING") == "PONG"


def test_clients_beyond_the_file_descriptors_get_an_error_and_the_others_are_served(new_store):
    store = new_store()
    resource.prlimit(store.process.pid, resource.RLIMIT_NOFILE, (60, 60))
    with store.client() as ask:
        clients = [connect(store) for _ in range(80)]
        try:
            assert eventually(lambda: clients[-1].recv(100), bool) == b"ERR too many connections\n"
            assert ask("PUT k v") == "OK"
        finally:
            for client in clients:
                client.close()
        assert eventually(lambda: store.ask("GET k"), lambda reply: reply == "VALUE v")


def test_a_client_that_disconnects_in_a_request_is_dropped(new_store):
    store = new_store()
    for _ in range(50):
        with connect(store) as sock:
            sock.sendall(b"PUT k v\nGET k\nGET k")
    assert eventually(lambda: store.ask("GET k"), lambda reply: reply == "VALUE v")


def test_a_full_disk_refuses_writes_serves_reads_and_recovers(new_store):
    store = new_store()
    with store.client() as ask:
        assert ask("PUT k v") == "OK"
        _, hard = resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (100_000, hard))
        replies = [ask(f"PUT k{number} {'v' * 10_000}") for number in range(20)]
        assert replies[0] == "OK"
        assert replies[-1].startswith("ERR disk full: ")
        assert ask("GET k") == "VALUE v"
        assert ask("GET k19") == "NOT_FOUND"
        resource.prlimit(store.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert ask("PUT k19 again") == "OK"
    store.stop(signal.SIGKILL)
    again = new_store()
    assert [again.ask("GET k0")[:8], again.ask("GET k19")] == ["VALUE vv", "VALUE again"]
