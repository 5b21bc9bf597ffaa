"""EDN: every form that real histories hold, and errors with their line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.history.edn import EdnError, parse, values
from kvsim.history.typed_values import Keyword, encode, literal, readable

FORMS = {
    "nil": None,
    "true": True,
    "-3": -3,
    "+5": 5,
    "4N": 4,
    "99999999999999999999": 99999999999999999999,
    "1.5": 1.5,
    "1.50M": Decimal("1.50"),
    "6/4": Fraction(3, 2),
    "4/2": 2,
    "010": 8,
    "-0x1fN": -31,
    "0XFF": 255,
    "2r101": 5,
    "36rZz": 1295,
    "[010 8]": [8, 8],
    "1.": 1.0,
    "1e3": 1000.0,
    ":k/w": Keyword(":k/w"),
    '"a\\tb\\f\\u0041\\"\\\\"': 'a\tb\fA"\\',
    '"\\ud83d\\ude00"': "😀",
    '"two\nlines"': "two\nlines",
    "(1 [2])": [1, [2]],
    "#_ #_ 1 2 3": 3,
    "[#_{:x 1} 7]": [7],
    "^{:line 1} ^:private [1]": [1],
    "#jepsen.history.Op{:a 1}": {":a": 1},
    "#:op{:a 1, :x/b 2}": {":op/a": 1, ":x/b": 2},
    "; a comment\n,,1": 1,
}
LITERALS = {
    "{:b 2, :a 1}": "{:a 1, :b 2}",
    "{1 2 nil 3}": "{1 2, nil 3}",
    "#{2 1}": "#{1 2}",
    '#inst "2026"': '#inst "2026"',
    '#object[foo.Bar$fn__1 0x5fa "x"]': '#object [\'foo.Bar$fn__1 1530 "x"]',
    "#<Error boom>": "'#<Error boom>",
    '#"a\\d"': '#"a\\d"',
    "\\a": "\\a",
    "\\u0041": "\\A",
    "\\(": "\\(",
    "##NaN": "##NaN",
    "1e400": "##Inf",
    "##-Inf": "##-Inf",
    "-0.0": "0.0",
    "1.50M": "1.5M",
    "-0.00M": "0M",
    "\\o141": "\\a",
    "\\newline": "\\\n",
    "some/symbol": "'some/symbol",
}


@pytest.mark.parametrize("text", FORMS)
def test_forms(text: str) -> None:
    (value,) = parse(text)
    assert value == FORMS[text] and isinstance(value, type(FORMS[text]))


@pytest.mark.parametrize("text", LITERALS)
def test_forms_that_are_written_in_one_way(text: str) -> None:
    assert literal(parse(text)[0]) == LITERALS[text]


def test_a_long_number_is_read_at_once() -> None:
    """It was tried in all its parts, which are 2 to the power of its length."""
    number = "1" * 300
    assert parse(number) == [int(number)]
    assert literal(parse(f"[{number} :a]")[0]) == f"[{number} :a]"


@pytest.mark.parametrize("text", ["[{:a 1} 2]", "({:a 1}\n 2)", "{:a 1}\n2", "{:a 1} 2"])
def test_items_at_the_top(text: str) -> None:
    assert [value for _, value in values(text.splitlines(keepends=True))] == [{":a": 1}, 2]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('\n"open', 2, "a string is never closed"),
        ("\n\n[{:a 1}", 3, "'\\[' is never closed"),
        ("{:a}", 1, "a key without a value"),
        ("[1}", 1, "'}' closes nothing"),
        ("]", 1, "closes nothing"),
        ("[#_]", 1, "has no value"),
        ('"\\q"', 1, "is not an escape"),
        ('"\\9"', 1, "is not an escape"),
        ("[" * 101, 1, "nested deeper than 100"),
        ("\n007x", 2, "007x is not a number"),
        ("08", 1, "08 is not a number"),
        ("1_000", 1, "1_000 is not a number"),
        ("1/0", 1, "1/0 is not a number"),
        ("2r12", 1, "2r12 is not a number"),
        ("37r1", 1, "37r1 is not a number"),
        ("[\\ab]", 1, "is not a character"),
        ("{:a 1 :b 2 :a 3}", 1, "a map has a key twice"),
        ("{1 2 1 3}", 1, "a map has a key twice"),
        ("\n#{[1] (1)}", 2, "a set has an item twice"),
        ("9" * 2_000, 1, "a number of 2000 characters"),
        ("\n#", 2, "cannot read '#'"),
    ],
)
def test_errors_name_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(EdnError, match=f"line {line}: .*{message}"):
        list(values(text.splitlines(keepends=True)))


SCALARS = st.none() | st.booleans() | st.integers() | st.text() | st.builds(Keyword, st.just(":a"))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@given(st.lists(VALUES, max_size=6))
def test_different_values_are_shown_differently(items: list[object]) -> None:
    """By their literals: these are what makes two values of Clojure equal."""
    given_values = [item for item in items if item is not None]
    shown = readable([encode(item) for item in given_values])
    literals = list(map(literal, given_values))
    for first, first_literal in zip(shown, literals, strict=True):
        for second, second_literal in zip(shown, literals, strict=True):
            assert (first == second) is (first_literal == second_literal)


@given(VALUES)
def test_a_literal_reads_back_equal(value: object) -> None:
    text = literal(value)
    (again,) = parse(text)
    assert literal(again) == text


@given(st.text())
def test_any_text_is_read_or_has_an_error_with_a_line(text: str) -> None:
    try:
        found = list(values(text.splitlines(keepends=True)))
    except EdnError as error:
        assert error.line >= 1
    else:
        assert all(line >= 1 for line, _ in found)


PIECES = st.sampled_from(
    ["[", "]", " ", "1", "-", "0", "nil", '"a"', '"x nil"', '"1-1"', "\n", ","]
)


@given(st.lists(PIECES, max_size=9).map("".join))
def test_a_simple_value_is_read_fast_as_it_is_read_slowly(text: str) -> None:
    def slowly() -> list:
        (_, found), *more = values([f"[[{text}\n]]"])
        if more or not isinstance(found, list):
            raise EdnError(1, "closed")
        return found

    try:
        expected = slowly()
    except (EdnError, ValueError):
        with pytest.raises(EdnError):
            parse(text)
        return
    assert repr(parse(text)) == repr(expected)


PLAIN_TEXTS = st.sampled_from(
    [
        r"7",
        r"-0",
        r"007",
        r"1.5",
        r"nil",
        r"true",
        r"truex",
        r":a",
        r":a/b",
        r":a#b",
        r"nil:a",
        r'"x"',
        r'"}"',
        r'"a\n"',
        r"[1e]",
        r"[007x]",
        r"\a",
        r"#{1}",
        r"(1)",
        r"{:b_1}",
        r"12345678901234567890",
        r"[1_2]",
        r"[:k_[1_nil]]",
        r"[[[1]]]",
        r'["]"_1]',
        r"[1_#__2]",
        r'["k",_"v"]',
    ]
).map(lambda text: text.replace("_", " "))
PLAIN_KEYS = st.sampled_from([":f", ":type", ":a", ":ok?", ":a/b", '"f"', "1", ":a:b", ":1"])
MAPS = st.lists(
    st.tuples(PLAIN_KEYS, PLAIN_TEXTS, st.sampled_from(["", ",", ", ", " "])), max_size=4
)


@given(MAPS, st.sampled_from(["", "[", "[\n", "#_", "#_\n", '"\n', "^:m\n", "{:a\n", "(\n"]))
def test_a_map_that_is_a_line_is_read_as_one_over_two_lines(
    parts: list[tuple[str, str, str]], before: str
) -> None:
    """The second is no whole line, so it is read token by token."""
    inside = "".join(f"{key} {text}{separator} " for key, text, separator in parts)

    def read(text: str) -> str:
        try:
            return repr([value for _, value in values(text.splitlines(keepends=True))])
        except EdnError as error:
            return error.what

    assert read(f"{before}{{{inside}}}\n") == read(f"{before}{{\n{inside}}}\n")
