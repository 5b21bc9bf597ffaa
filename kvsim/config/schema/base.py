"""The base class of all schemas, and `Validation`: what reading a file collects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct, field

from kvsim.config.yaml_nodes import Scalar, SourceLocation, Tree
from kvsim.errors import Problem
from kvsim.text import did_you_mean, truncate

PATH_PART_MAX = 40

# Words of kvsim before 0.1 and what they are called now. Messages name the new word; none of the
# old words is accepted.
RENAMED = {
    "promises": "guarantees",
    "receipt": "evidence",
    "drop": "random_reset",
    "garble": "corrupt",
    "most": "max_bytes",
    "into": "after_request",
    "hits": "targets",
    "last": "duration",
    "quiet": "interval",
    "genuine_reads": "read_values_were_written",
    "load_genuine_reads": "load_read_values_were_written",
    "faults_have_receipts": "faults_have_evidence",
    "says": "description",
    "epochs_only_rise": "terms_only_rise",
    "answers_are_ours": "replies_come_from_nodes",
    "one_leader_per_epoch": "one_leader_per_term",
    "load_one_leader_per_epoch": "load_one_leader_per_term",
    "digests_tell_values": "digests_reflect_values",
    "epoch": "term",
    "inside": "known_store",
}


class _Wrong:
    def __repr__(self) -> str:
        return "WRONG"

    def __bool__(self) -> bool:
        return False


# What a schema returns for a value whose mistake it has reported.
WRONG: Any = _Wrong()


class Validation(Struct):
    """What reading a file collects: problems, and the templates to check once all names are known.

    `templates` are pairs of a text and its scope (see `kvsim.config.template`). `path` is the
    position of the reader: the keys from the top of the file.
    """

    problems: list[Problem] = field(default_factory=list)
    templates: list[tuple[Scalar, str]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)

    def report(self, where: Tree | SourceLocation, message: str) -> None:
        """Add a problem; the message begins with the path to the value."""
        location = where if isinstance(where, SourceLocation) else where.location
        prefix = ".".join(self.path)
        self.problems.append(location.problem(f"{prefix}: {message}" if prefix else message))

    def report_expected(self, node: Tree, expected: str) -> Any:
        """Report that something else was expected; the result is WRONG."""
        self.report(node, f"expected {expected}, found {node.describe()}")
        return WRONG

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Add `name` to the end of the path for the duration of the block."""
        self.path.append(truncate(name, PATH_PART_MAX))
        try:
            yield
        finally:
            self.path.pop()


class Schema:
    """Base of all schemas. `expected` is a noun phrase for messages and docs.

    `read` checks a YAML node and returns plain values, as complete as the mistakes allow, for the
    checks that no schema can make. `build` turns what was read without a problem into its typed,
    frozen value.
    """

    expected = "anything"

    def read(self, node: Tree, validation: Validation) -> Any:
        """The value, or WRONG once a problem is reported."""
        raise NotImplementedError

    def build(self, value: Any) -> Any:
        """The typed value of what `read` returned."""
        return value

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        """Draft 2020-12; schemas with a name put themselves into `defs`."""
        raise NotImplementedError


class ScalarSchema(Schema):
    """A schema of one text; subclasses define how the text is parsed."""

    def read(self, node: Tree, validation: Validation) -> Any:
        if not isinstance(node, Scalar) or node.absent:
            return validation.report_expected(node, self.expected)
        return self.parse(node, validation)

    def parse(self, node: Scalar, validation: Validation) -> Any:
        """The value of a text that is not empty, or WRONG once a problem is reported."""
        raise NotImplementedError


def hint(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: its new name, else the closest known word.

    Starts with `; ` so that a message can append it.
    """
    words = set(known)
    if RENAMED.get(word) in words:
        return f"; it is called `{RENAMED[word]}` now"
    return did_you_mean(word, words)
