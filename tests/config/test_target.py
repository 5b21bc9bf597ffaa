"""Targets are read from words and say themselves again."""

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
def test_a_target_says_itself_again(words: str) -> None:
    target = parse_target(words)
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("each folower", '"each folower" is no target; did you mean `each follower`?'),
        ("", '"" is no target'),
        ("n1, n1", "`n1` stands twice in this target"),
        ("n1, leader", "`leader` cannot stand in a list of node names"),
    ],
)
def test_words_that_mean_nothing(words: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_target(words)
    assert str(caught.value).startswith(said)


def test_which_targets_are_one_node() -> None:
    single = {words for words in [*WORDS, "n1", "n1, n2"] if parse_target(words).single}
    assert single == {
        "leader",
        "follower",
        "any",
        "random",
        "any follower",
        "one follower",
        "most advanced follower",
        "n1",
    }
