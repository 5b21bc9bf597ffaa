"""A worker process: its lines are read whole, its end is reported, and nothing of it is left."""

from __future__ import annotations

import pytest

from kvsim.process import procfs, worker
from kvsim.process.worker import ROOT, WorkerProcess, WorkerUnavailable, close_on_error


@pytest.fixture
def script(tmp_path, monkeypatch):
    """`script(text)`: a worker that runs this Python text."""
    started = []

    def start(text: str) -> WorkerProcess:
        (tmp_path / "worker_script.py").write_text(text)
        monkeypatch.setattr(worker, "ROOT", tmp_path)
        started.append(WorkerProcess("worker_script"))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_lines_are_read_one_by_one(script):
    worker_process = script(
        "import sys\nprint('a\\nb', flush=True)\nprint(input(), end='', flush=True)\nprint()"
    )
    worker_process.send(b"c\n")
    assert [
        worker_process.read_line(10),
        worker_process.read_line(10),
        worker_process.read_line(10),
    ] == [b"a", b"b", b"c"]


def test_its_end_is_reported_with_its_last_line_of_stderr(script):
    worker_process = script("import sys\nsys.exit('no room')")
    with pytest.raises(
        WorkerUnavailable, match="ended with status 1; its last line: no room"
    ) as caught:
        worker_process.read_line(10)
    assert caught.value.ended
    # Not an error.
    worker_process.send(b"still there?\n")


def test_a_worker_that_writes_nothing_has_not_ended(script):
    with pytest.raises(WorkerUnavailable, match="in time") as caught:
        script("input()").read_line(0.05)
    assert not caught.value.ended


def test_it_notices_that_its_input_has_ended(script):
    worker_process = script("import sys\nprint(len(sys.stdin.read()))")
    worker_process.send(b"four")
    worker_process.close_stdin()
    assert worker_process.read_line(10) == b"4"


def test_closing_kills_a_worker_that_does_not_end(script, monkeypatch):
    monkeypatch.setattr(worker, "CLOSE_WAIT_S", 0.05)
    worker_process = script("import signal\nprint(flush=True)\nsignal.pause()")
    worker_process.read_line(10)
    worker_process.close()
    worker_process.close()
    assert procfs.stat(worker_process.pid) is None
    with pytest.raises(WorkerUnavailable, match="was ended"):
        worker_process.read_line(10)


def test_a_worker_whose_start_fails_is_closed(script):
    worker_process = script("input()")
    with pytest.raises(KeyboardInterrupt), close_on_error(worker_process):
        raise KeyboardInterrupt
    assert procfs.stat(worker_process.pid) is None


def test_requests_are_read_whole_and_replies_carry_their_number(script):
    worker_process = script(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from kvsim.process.worker import WorkerRequests, send_reply\n"
        "requests = WorkerRequests(0)\n"
        "send_reply(requests.first(), 'first')\n"
        "while not requests.closed:\n"
        "    for request in requests.read():\n"
        "        send_reply(request, request['value'] + 1)\n"
    )
    worker_process.send(b'{"number": 1}\n')
    assert worker_process.read_line(10) == b'[1, "first"]'
    worker_process.send(b'{"number": 2, "va')
    worker_process.send(b'lue": 5}\n{"number": 3, "value": 6}\n')
    assert [worker_process.read_line(10) for _ in range(2)] == [b"[2, 6]", b"[3, 7]"]


def test_an_interpreter_that_needs_its_libraries_finds_them(script, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")
    monkeypatch.setenv("SECRET", "hush")
    worker_process = script(
        "import os\nprint(os.environ.get('LD_LIBRARY_PATH'), os.environ.get('SECRET'))"
    )
    assert worker_process.read_line(10) == b"/opt/python/lib None"
