"""A process of kvsim's own beside it: its lines are read whole, its end is told with its last words, and nothing of it stays."""

from __future__ import annotations

import pytest

from kvsim.process import companion, proc
from kvsim.process.companion import Companion, Silent


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A companion that runs this text."""
    started = []

    def start(text: str) -> Companion:
        (tmp_path / "beside.py").write_text(text)
        monkeypatch.setattr(companion, "ROOT", tmp_path)
        started.append(Companion("beside"))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_lines_come_one_by_one_however_they_were_written(script):
    one = script("import sys\nprint('a\\nb', flush=True)\nprint(input(), end='', flush=True)\nprint()")
    one.send(b"c\n")
    assert [one.line(10), one.line(10), one.line(10)] == [b"a", b"b", b"c"]


def test_its_end_is_told_with_its_last_words(script):
    one = script("import sys\nsys.exit('no room')")
    with pytest.raises(Silent, match="ended with status 1; it said: no room") as caught:
        one.line(10)
    assert caught.value.ended
    one.send(b"still there?\n")  # is nobody's error


def test_one_that_says_nothing_is_silent_but_has_not_ended(script):
    with pytest.raises(Silent, match="in time") as caught:
        script("input()").line(0.05)
    assert not caught.value.ended


def test_it_learns_that_its_input_is_over(script):
    one = script("import sys\nprint(len(sys.stdin.read()))")
    one.send(b"four")
    one.say_no_more()
    assert one.line(10) == b"4"


def test_closing_ends_one_that_does_not_listen(script, monkeypatch):
    monkeypatch.setattr(companion, "LEAVE_S", 0.05)
    one = script("import signal\nprint(flush=True)\nsignal.pause()")
    one.line(10)
    one.close()
    one.close()
    assert proc.stat(one.pid) is None
    with pytest.raises(Silent, match="was ended"):
        one.line(10)
