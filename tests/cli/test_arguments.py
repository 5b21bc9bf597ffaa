"""Arguments of the command line: numbers have bounds, and every mistake is named at once."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import kvsim.cli
from kvsim.argument_types import PORT, SEED, Seconds, WholeNumber
from kvsim.errors import UsageError

ROOT = Path(__file__).parents[2]


def mistakes_of(*argv: str) -> list[str]:
    """What is wrong with these arguments: the lines before the usage."""
    command, *rest = argv
    with pytest.raises(UsageError) as caught:
        kvsim.cli.command_parser(command).parse_args(rest)
    return str(caught.value).partition("\nusage:")[0].splitlines()


@pytest.mark.parametrize("text", ["0", "65536", "99999", "-1", "1e3", "٣", "", " 80", "0x50"])
def test_a_port_is_from_1_to_65535(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a port from 1 to 65535"):
        PORT(text)


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "1e400", "1e9", "0", "9" * 400, "0.0"])
def test_a_time_is_finite_and_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a number of seconds from"):
        Seconds()(text)


@pytest.mark.parametrize(("text", "seconds"), [("1", 1.0), ("0.5", 0.5), ("86400", 86400.0)])
def test_a_time_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert Seconds()(text) == seconds


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("serve", "--port", "70000"), "--port: expected a port, or 0 for a free one"),
        (("client", "--port", "65536", "get", "k"), "--port: expected a port from 1 to 65535"),
        (("client", "--timeout", "inf", "get", "k"), "--timeout: expected a number of seconds"),
        (("repeat", "s.yaml", "--limit", "nan"), "--limit: expected a number of seconds"),
        (("repeat", "s.yaml", "-n", "0"), "--runs: expected a whole number from 1"),
        (("sweep", "s.yaml", "-j", "0"), "--jobs: expected a number of runs from 1"),
        (("run", "s.yaml", "--seed", "99999999999999999999"), "--seed: expected a seed"),
        (("campaign", "s.yaml", "--first-seed", "-3"), "--first-seed: expected"),
        (("check", "h", "--limit", "-1"), "--limit: expected"),
        (("top", "--interval", "0"), "--interval: expected a number of seconds"),
        (("init", "--nodes", "0"), "--nodes: expected a number of nodes from 1 to 99"),
        (("grade", "p", "--plan", "f", "-j", "x"), "--jobs: expected a number of runs"),
        (("kill", "n1", "--signal", "STOP"), "--signal: expected a signal that ends a process"),
        (("kill", "n1", "--signal", "trem"), "did you mean `TERM`?"),
        (("run", "s.yaml", "--ouut", "d"), "there is no option --ouut; did you mean `--out`?"),
        (("run", "s.yaml", "--jsn"), "there is no option --jsn; did you mean `--json`?"),
        (("check", "h", "--format", "jepsen-end"), "did you mean `jepsen-edn`?"),
    ],
)
def test_a_wrong_argument_is_named(argv: tuple[str, ...], expected: str) -> None:
    (message,) = mistakes_of(*argv)
    assert expected in message


def test_all_mistakes_in_arguments_are_named_at_once() -> None:
    found = mistakes_of("repeat", "s.yaml", "-j", "0", "--limit", "inf", "--sead", "7")
    assert [line.split(":")[0].split(";")[0] for line in found] == [
        "argument -j/--jobs",
        "argument --limit",
        "there is no option --sead",
    ]


def test_a_seed_leaves_room_for_those_that_follow_it() -> None:
    assert SEED(str(10**17)) + 10**6 < 2**63
    assert WholeNumber(0, 3)("3") == 3


def test_every_numeric_argument_has_bounds() -> None:
    """`int` and `float` as argument types take numbers that nothing can carry out."""
    for path in (ROOT / "kvsim").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "type=int" not in text and "type=float" not in text, (
            f"{path}: use WholeNumber or Seconds of kvsim.argument_types"
        )
