"""Targets are parsed from text, and their text can be parsed again."""

from __future__ import annotations

import pytest

from kvsim.config.program import Role
from kvsim.config.target import WORDS, Target, parse_target


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("leader", Target("the", Role.LEADER)),
        ("each  follower", Target("each", Role.FOLLOWER)),
        ("any follower", Target("any", Role.FOLLOWER)),
        ("all", Target("each")),
        ("majority", Target("majority")),
        ("n2", Target("named", names=("n2",))),
        ("n1, n3", Target("named", names=("n1", "n3"))),
    ],
)
def test_words_become_a_target(words: str, target: Target) -> None:
    assert parse_target(words) == target


@pytest.mark.parametrize("words", [*WORDS, "n1", "n1, n3"])
def test_the_text_of_a_target_is_the_target_again(words: str) -> None:
    target = parse_target(words)
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("each folower", '"each folower" is no target; did you mean `each follower`?'),
        ("", '"" is no target'),
        ("n1, n1", "`n1` is named twice in this target"),
        ("n1, leader", "`leader` cannot be in a list of node names"),
    ],
)
def test_words_that_are_no_target(words: str, expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_target(words)
    assert str(caught.value).startswith(expected)


def test_targets_that_are_always_a_single_node() -> None:
    single = {words for words in [*WORDS, "n1", "n1, n2"] if parse_target(words).single}
    assert single == {
        "leader",
        "follower",
        "any",
        "random",
        "any follower",
        "one follower",
        "most advanced follower",
        "most advanced",
        "least advanced",
        "old leader",
        "candidate",
        "n1",
    }
