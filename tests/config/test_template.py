"""Templates touch what they say they touch and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.template import Known, TemplateError, mistakes, names_in, parse, render, render_pattern

N1 = {"name": "n1", "addr": "h:1", "ports.peer": "11"}
N2 = {"name": "n2", "addr": "h:2", "ports.peer": "12"}
NAMES = {"port": "9001", "leader.addr": "h:1", "token": "t", "all": [N1, N2], "others": [N2], "followers": []}
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
        ('{"a":{}} ${HOME:-x} \\d{2} {2,3} { port } {}', '{"a":{}} ${HOME:-x} \\d{2} {2,3} { port } {}'),
    ],
)
def test_what_becomes_of_a_template(text: str, becomes: str) -> None:
    assert render(text, NAMES) == becomes


def test_values_in_a_pattern_match_themselves() -> None:
    pattern = render_pattern(r"^on {leader.addr} \d{2}$", {"leader.addr": "a.b:1"})
    assert re.search(pattern, "on a.b:1 12")
    assert not re.search(pattern, "on axb:1 12")


def test_a_value_is_not_a_template() -> None:
    assert render("{port}", {"port": "{port}"}) == "{port}"


def test_a_name_without_a_value_is_an_error_that_helps() -> None:
    with pytest.raises(TemplateError, match=r"\{prot\} has no value here; did you mean `port`"):
        render("{prot}", NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{port} {nodes.n7.port}", []),
        ("{prot}", ["{prot} is no name that can stand here; did you mean `port`?"]),
        ("{name}", ["{name} is no name that can stand here"]),
        ("{all:{name}{nam}|,}", ["{nam} is no name that can stand here; did you mean `name`?"]),
        ("{all:{name}", ["a list such as {all:{name}={addr}|,} is never closed by a }"]),
        ("{nodes.n7.prt}", ["{nodes.n7.prt} is no name that can stand here"]),
    ],
)
def test_mistakes_are_found_before_anything_runs(text: str, said: list[str]) -> None:
    assert [line[: len(start)] for line, start in zip(mistakes(text, KNOWN), said, strict=True)] == said


def test_a_list_where_there_are_no_nodes() -> None:
    assert mistakes("{all:x|,}", Known(frozenset({"k"}))) == ["{all:…} cannot stand here"]


@given(text=st.text(st.sampled_from("{}ab:|,.x \\n\t"), max_size=30))
def test_any_text_is_read_or_refused_and_never_lost(text: str) -> None:
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
