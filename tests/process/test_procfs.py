"""Reading /proc."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import procfs
from tests.process_fixtures import eventually


@given(name=st.binary(max_size=15).filter(lambda name: b"\0" not in name and b"\n" not in name))
def test_a_name_may_hold_brackets_and_spaces(name: bytes) -> None:
    tail = b" T 7 8 9" + b" 0" * 15 + b" 4711 0 0\n"
    entry = procfs.parse_stat(b"42 (" + name + b")" + tail)
    assert (entry.pid, entry.state, entry.ppid, entry.pgid, entry.session) == (42, "T", 7, 8, 9)
    assert entry.start_ticks == 4711


def test_a_process_that_is_gone_is_none_or_empty() -> None:
    # Above every pid.
    gone = 2**22 + 1
    assert procfs.stat(gone) is None
    assert procfs.thread_states(gone) == []
    assert procfs.environ(gone) == {}
    assert procfs.socket_inodes(gone) == set()
    assert procfs.cmdline(gone) == ""


def test_the_table_holds_us_and_our_parent() -> None:
    table = procfs.table()
    assert table[os.getpid()].ppid == os.getppid()
    assert os.getppid() in table


def test_a_command_line_is_one_line(processes) -> None:
    child = processes.python("import time\ntime.sleep(60)", "two words")
    words = "import time time.sleep(60) two words"
    eventually(lambda: procfs.cmdline(child.pid).endswith(words), "the program behind its wrapper")


def test_a_file_that_is_closed_while_it_is_looked_at_is_not_written(tmp_path, monkeypatch) -> None:
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    assert procfs.file_written(os.getpid(), file) is not None
    opens = os.open

    def open_and_close(path, flags):
        handle = opens(path, flags)
        os.close(file)
        return handle

    monkeypatch.setattr(os, "open", open_and_close)
    assert procfs.file_written(os.getpid(), file) is None
