"""Reading /proc."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import proc
from tests.process.stage import soon


@given(name=st.binary(max_size=15).filter(lambda name: b"\0" not in name and b"\n" not in name))
def test_a_name_may_hold_brackets_and_spaces(name: bytes) -> None:
    tail = b" T 7 8 9" + b" 0" * 15 + b" 4711 0 0\n"
    entry = proc.parse_stat(b"42 (" + name + b")" + tail)
    assert (entry.pid, entry.state, entry.ppid, entry.pgid, entry.session) == (42, "T", 7, 8, 9)
    assert entry.start_ticks == 4711


def test_what_is_gone_is_none_or_empty() -> None:
    gone = 2**22 + 1  # above every pid
    assert proc.stat(gone) is None
    assert proc.thread_states(gone) == []
    assert proc.environ(gone) == {}
    assert proc.socket_inodes(gone) == set()
    assert proc.cmdline(gone) == ""


def test_the_table_holds_us_and_our_parent() -> None:
    table = proc.table()
    assert table[os.getpid()].ppid == os.getppid()
    assert os.getppid() in table


def test_a_command_line_is_one_line(stage) -> None:
    child = stage.python("import time\ntime.sleep(60)", "two words")
    words = "import time time.sleep(60) two words"
    soon(lambda: proc.cmdline(child.pid).endswith(words), "the program behind its wrapper")
