"""A YAML file becomes a tree of texts with places; what is wrong with it is a problem with a place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.config import yaml_tree
from kvsim.config.yaml_tree import Fields, Items, Scalar, Tree, flow, read_file, read_text
from kvsim.errors import Problem


def parsed(text: str) -> Tree:
    problems: list[Problem] = []
    tree = read_text(text, "f.yaml", problems)
    assert not problems
    assert tree is not None
    return tree


def complaint(text: str) -> str:
    problems: list[Problem] = []
    read_text(text, "f.yaml", problems)
    assert len(problems) == 1, problems
    return str(problems[0])


def plain(tree: Tree) -> object:
    if isinstance(tree, Scalar):
        return tree.text
    if isinstance(tree, Items):
        return [plain(item) for item in tree.items]
    return {key.text: plain(value) for key, value in tree.entries}


@pytest.mark.parametrize(
    "text", ["on", "no", "012", "12:30:00", "1e3", "null", "~", "2020-01-01", "0x1F", ".5", "yes"]
)
def test_texts_stay_as_typed(text: str) -> None:
    assert plain(parsed(f"{text}: {text}")) == {text: text}


def test_places_count_from_one() -> None:
    tree = parsed("a: 1\nb:\n  - é: ü\n")
    assert isinstance(tree, Fields)
    inner = tree.get("b")
    assert isinstance(inner, Items)
    key, value = inner.items[0].entries[0]
    assert (key.mark.line, key.mark.column, value.mark.line, value.mark.column) == (3, 5, 3, 8)


def test_an_alias_is_a_copy_at_its_anchor() -> None:
    tree = parsed("a: &x {b: 1}\nc: *x\n")
    assert plain(tree) == {"a": {"b": "1"}, "c": {"b": "1"}}
    assert tree.get("c").mark.line == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.yaml:1:1: the file is empty"),
        ("# only a comment\n", "f.yaml:1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: key "a" a second time (first at line 1)'),
        ("a: &x [*x]", "f.yaml:1:8: alias *x stands inside its own anchor: a loop"),
        ("a: *x", "f.yaml:1:4: alias *x has no anchor &x before it"),
        ("a: 1\n---\nb: 1", "f.yaml:2:1: a second document (`---`): one file holds one document"),
        (
            "a: !!int 3",
            "f.yaml:1:4: a tag (tag:yaml.org,2002:int): tags are not used here; everything is text",
        ),
        ("a: &x {b: 1}\n<<: *x", "f.yaml:2:1: merge keys (<<) are not used here"),
        ("a:\n\tb: 1", "f.yaml:2:1: not valid YAML: a tab or another character"),
        ("a: b: c", "f.yaml:1:5: not valid YAML: a `:` where no key can stand"),
        ("a: [", "f.yaml:1:1: not valid YAML"),
        ("a: b\0c", "f.yaml:1:5: control character U+0000: is this a YAML file?"),
        ("[" * 60 + "]" * 60, "f.yaml:1:51: nested more than 50 levels deep"),
        ("[" * 100_000, "f.yaml:1:51: nested more than 50 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    problems: list[Problem] = []
    read_text(text, "f.yaml", problems)
    assert str(problems[0]).startswith(said)


def test_a_template_without_quotes_is_explained() -> None:
    problems: list[Problem] = []
    read_text("a:\n  ? {port}\n  : 1\n", "f.yaml", problems)
    assert "needs quotes" in str(problems[0])


def test_an_alias_bomb_ends() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases make this file grow" in complaint("\n".join(lines))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: \xff", "f.yaml:1:4: byte 0xff is not UTF-8 text"),
        (b"\x7fELF\x02\x01", "f.yaml:1:1: control character U+007F"),
        (b"- a", "f.yaml:1:1: a mapping (`key: value` lines) was expected here, found a list"),
        (b"hello", 'f.yaml:1:1: a mapping (`key: value` lines) was expected here, found "hello"'),
        (b"x" * (yaml_tree.BYTES_MAX + 1), "f.yaml: is larger than 4 MiB"),
    ],
)
def test_files_that_are_no_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_bytes(data)
    problems: list[Problem] = []
    assert read_file(Path("f.yaml"), problems) is None
    assert [str(problem)[: len(said)] for problem in problems] == [said]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    problems: list[Problem] = []
    tree = read_file(tmp_path / "f.yaml", problems)
    assert tree is not None
    assert plain(tree) == {"a": "1"}


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    problems: list[Problem] = []
    assert read_file(tmp_path / name, problems) is None
    assert "cannot be read: " in str(problems[0])


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), max_size=12)
TREES = st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)


@settings(max_examples=150, deadline=None)
@given(tree=TREES)
def test_the_flow_form_reads_back(tree: object) -> None:
    """What a report shows of a step is the step."""
    written = yaml.safe_dump(tree, default_style='"', allow_unicode=True)
    problems: list[Problem] = []
    first = read_text(written, "f", problems)
    if not problems:
        again = read_text(flow(first), "f", problems)
        assert not problems
        assert plain(again) == plain(first) == tree


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab:-[]{}&*!|>'\"#,?\n \t%@`<\\"), max_size=40))
def test_both_parsers_agree_on_what_is_yaml(text: str) -> None:
    """PyYAML with and without its C library: the same tree wherever both accept."""
    results = []
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        problems: list[Problem] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml_tree, "LOADER", loader)
            tree = read_text(text, "f", problems)
        results.append(None if tree is None or problems else plain(tree))
    assert None in results or results[0] == results[1]
