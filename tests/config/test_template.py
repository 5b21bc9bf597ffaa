"""Templates replace the documented forms and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.template import (
    Known,
    TemplateError,
    mistakes,
    names_in,
    parse,
    render,
    render_pattern,
    render_words,
)

N1 = {"name": "n1", "addr": "h:1", "ports.peer": "11"}
N2 = {"name": "n2", "addr": "h:2", "ports.peer": "12"}
NAMES = {
    "port": "9001",
    "leader.addr": "h:1",
    "token": "t",
    "all": [N1, N2],
    "others": [N2],
    "followers": [],
}
KNOWN = Known(frozenset({"port", "leader.addr", "nodes.*.port"}), frozenset({"name", "addr"}))


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("--port={port}", "--port=9001"),
        ("{leader.addr}", "h:1"),
        ("{{port}}", "{port}"),
        ("{port}}", "9001}"),
        ("{all:{name}=http://{addr}|,}", "n1=http://h:1,n2=http://h:2"),
        ("{all:{name}}", "n1,n2"),
        ("[{others:{addr}|;}]", "[h:2]"),
        ("<{followers:{addr}}>", "<>"),
        ("{all:{name} {token}|\\n}", "n1 t\nn2 t"),
        ("{all:{ports.peer}| }", "11 12"),
        ("{all:|x|-}", "|x-|x"),
        ("server {\n\tlisten {port};\n}\n", "server {\n\tlisten 9001;\n}\n"),
        ('{"a":{"port":{port}}}', '{"a":{"port":9001}}'),
        (
            '{"a":{}} ${HOME:-x} \\d{2} {2,3} { port } {}',
            '{"a":{}} ${HOME:-x} \\d{2} {2,3} { port } {}',
        ),
    ],
)
def test_templates_are_rendered(text: str, becomes: str) -> None:
    assert render(text, NAMES) == becomes


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("--port={port}", ("--port=9001",)),
        ("{all*:--peer={name}={addr}}", ("--peer=n1=h:1", "--peer=n2=h:2")),
        ("{all*:--peer|{addr}}", ("--peer", "h:1", "--peer", "h:2")),
        ("{others*}", ("h:2",)),
        ("{followers*:{addr}}", ()),
        ("{others*:{name}-{token}-{port}}", ("n2-t-9001",)),
    ],
)
def test_an_argument_may_become_one_for_each_node(word: str, words: tuple[str, ...]) -> None:
    assert render_words(word, NAMES) == words
    known = Known(KNOWN.names | {"token"}, KNOWN.item_names)
    assert mistakes(word, known, argument=True) == []


@pytest.mark.parametrize(
    ("text", "argument", "message"),
    [
        ("--peers={others*:{addr}}", True, "must be a whole argument"),
        ("{others*:{addr}}", False, "must be a whole argument"),
        ("{others*:{adr}}", True, "{adr} is no known name here; did you mean `addr`?"),
    ],
)
def test_where_arguments_for_each_node_cannot_be(text: str, argument: bool, message: str) -> None:
    (line,) = mistakes(text, KNOWN, argument=argument)
    assert message in line


def test_values_in_a_pattern_match_themselves() -> None:
    pattern = render_pattern(r"^on {leader.addr} \d{2}$", {"leader.addr": "a.b:1"})
    assert re.search(pattern, "on a.b:1 12")
    assert not re.search(pattern, "on axb:1 12")


def test_a_value_is_not_a_template() -> None:
    assert render("{port}", {"port": "{port}"}) == "{port}"


def test_a_name_without_a_value_is_an_error_with_a_hint() -> None:
    with pytest.raises(TemplateError, match=r"\{prot\} has no value here; did you mean `port`"):
        render("{prot}", NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{port} {nodes.n7.port}", []),
        ("{prot}", ["{prot} is no known name here; did you mean `port`?"]),
        ("{name}", ["{name} is no known name here"]),
        ("{all:{name}{nam}|,}", ["{nam} is no known name here; did you mean `name`?"]),
        ("{all:{name}", ["a list such as {all:{name}={addr}|,} is never closed by a }"]),
        ("{nodes.n7.prt}", ["{nodes.n7.prt} is no known name here"]),
    ],
)
def test_mistakes_are_found_before_anything_runs(text: str, expected: list[str]) -> None:
    assert [
        line[: len(start)] for line, start in zip(mistakes(text, KNOWN), expected, strict=True)
    ] == expected


def test_a_list_where_there_are_no_nodes() -> None:
    assert mistakes("{all:x|,}", Known(frozenset({"k"}))) == ["{all:…} is not allowed here"]


@given(text=st.text(st.sampled_from("{}ab:|,.x \\n\t"), max_size=30))
def test_any_text_is_parsed_completely_or_refused(text: str) -> None:
    try:
        parts = parse(text)
    except TemplateError:
        return
    if all(isinstance(part, str) for part in parts):
        assert "".join(parts) == re.sub(r"\{(\{[A-Za-z_][\w-]*(?:\.[\w-]+)*\})\}", r"\1", text)
    assert names_in(text) <= set(re.findall(r"[\w.-]+", text))


@given(text=st.text(max_size=40).filter(lambda text: "{" not in text))
def test_text_without_braces_stays(text: str) -> None:
    assert render(text, {}) == text
