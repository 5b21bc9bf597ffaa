"""A YAML file becomes a tree of texts with locations; every mistake is a problem with one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.config import yaml_nodes
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree, flow_style, read_file, read_text
from kvsim.errors import Problem


def parse_yaml(text: str) -> Tree:
    problems: list[Problem] = []
    tree = read_text(text, "f.yaml", problems)
    assert not problems
    assert tree is not None
    return tree


def only_problem(text: str) -> str:
    problems: list[Problem] = []
    read_text(text, "f.yaml", problems)
    assert len(problems) == 1, problems
    return str(problems[0])


def as_data(tree: Tree) -> object:
    if isinstance(tree, Scalar):
        return tree.text
    if isinstance(tree, Items):
        return [as_data(item) for item in tree.items]
    return {key.text: as_data(value) for key, value in tree.entries}


@pytest.mark.parametrize(
    "text", ["on", "no", "012", "12:30:00", "1e3", "null", "~", "2020-01-01", "0x1F", ".5", "yes"]
)
def test_texts_stay_as_typed(text: str) -> None:
    assert as_data(parse_yaml(f"{text}: {text}")) == {text: text}


def test_lines_and_columns_count_from_one() -> None:
    tree = parse_yaml("a: 1\nb:\n  - é: ü\n")
    assert isinstance(tree, Fields)
    inner = tree.get("b")
    assert isinstance(inner, Items)
    key, value = inner.items[0].entries[0]
    assert (key.location.line, key.location.column) == (3, 5)
    assert (value.location.line, value.location.column) == (3, 8)


def test_an_alias_is_a_copy_at_its_anchor() -> None:
    tree = parse_yaml("a: &x {b: 1}\nc: *x\n")
    assert as_data(tree) == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert tree.get("c").location.line == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml:1:1: the file is empty"),
        ("# only a comment\n", "f.yaml:1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: key "a" is repeated (first at line 1)'),
        ("a: &x [*x]", "f.yaml:1:8: alias *x is inside its own anchor: a loop"),
        ("a: *x", "f.yaml:1:4: alias *x has no anchor &x before it"),
        ("a: 1\n---\nb: 1", "f.yaml:2:1: a second document (`---`): a file must hold one document"),
        (
            "a: !!int 3",
            "f.yaml:1:4: a tag (tag:yaml.org,2002:int): tags are not used here; everything is text",
        ),
        ("a: &x {b: 1}\n<<: *x", "f.yaml:2:1: merge keys (<<) are not used here"),
        ("a:\n\tb: 1", "f.yaml:2:1: not valid YAML: a tab or another character"),
        ("a: b: c", "f.yaml:1:5: not valid YAML: a `:` where no key is possible"),
        ("a: [", "f.yaml:1:1: not valid YAML"),
        ("a: b\0c", "f.yaml:1:5: control character U+0000: is this a YAML file?"),
        ("[" * 60 + "]" * 60, "f.yaml:1:51: nested more than 50 levels deep"),
        pytest.param("[" * 100_000, "f.yaml:1:51: nested more than 50 levels deep", id="deep"),
    ],
)
def test_mistakes_have_their_location(text: str, expected: str) -> None:
    problems: list[Problem] = []
    read_text(text, "f.yaml", problems)
    assert str(problems[0]).startswith(expected)


def test_a_template_without_quotes_is_explained() -> None:
    problems: list[Problem] = []
    read_text("a:\n  ? {port}\n  : 1\n", "f.yaml", problems)
    assert "needs quotes" in str(problems[0])


def test_an_alias_bomb_ends() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases make this file grow" in only_problem("\n".join(lines))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: \xff", "f.yaml:1:4: byte 0xff is not UTF-8 text"),
        (b"\x7fELF\x02\x01", "f.yaml:1:1: control character U+007F"),
        (b"- a", "f.yaml:1:1: a mapping (`key: value` lines) was expected here, found a list"),
        (b"hello", 'f.yaml:1:1: a mapping (`key: value` lines) was expected here, found "hello"'),
        (b"x" * (yaml_nodes.BYTES_MAX + 1), "f.yaml: is larger than 4 MiB"),
    ],
)
def test_files_without_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_bytes(data)
    problems: list[Problem] = []
    assert read_file(Path("f.yaml"), problems) is None
    assert [str(problem)[: len(expected)] for problem in problems] == [expected]


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    problems: list[Problem] = []
    tree = read_file(tmp_path / "f.yaml", problems)
    assert tree is not None
    assert as_data(tree) == {"a": "1"}


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    problems: list[Problem] = []
    assert read_file(tmp_path / name, problems) is None
    assert "cannot be read: " in str(problems[0])


TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), max_size=12
)
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(tree=TREES)
def test_flow_style_can_be_read_again(tree: object) -> None:
    """A report shows a step in flow style, which must be the same step."""
    written = yaml.safe_dump(tree, default_style='"', allow_unicode=True)
    problems: list[Problem] = []
    first = read_text(written, "f", problems)
    if not problems:
        again = read_text(flow_style(first), "f", problems)
        assert not problems
        assert as_data(again) == as_data(first) == tree


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"#,?\n \t%@`<\\"), max_size=40))
def test_both_parsers_agree_on_what_is_yaml(text: str) -> None:
    """PyYAML with and without its C library: the same tree wherever both accept."""
    results = []
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        problems: list[Problem] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml_nodes, "LOADER", loader)
            tree = read_text(text, "f", problems)
        results.append(None if tree is None or problems else as_data(tree))
    assert None in results or results[0] == results[1]
