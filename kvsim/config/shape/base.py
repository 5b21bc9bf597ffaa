"""What every shape is, and what one reading of a file gathers. Below all shapes; knows none of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kvsim.config.yaml_tree import Mark, Scalar, Tree
from kvsim.errors import Problem


class _Wrong:
    def __repr__(self) -> str:
        return "WRONG"

    def __bool__(self) -> bool:
        return False


WRONG: Any = _Wrong()  # what a shape returns for something that it has reported


@dataclass
class Reading:
    """What one reading of a file gathers: problems, and the templates seen, to be checked once all names are known."""

    problems: list[Problem] = field(default_factory=list)
    templates: list[tuple[Scalar, str]] = field(default_factory=list)  # (text, scope)
    path: list[str] = field(default_factory=list)

    def say(self, where: Tree | Mark, message: str) -> None:
        mark = where if isinstance(where, Mark) else where.mark
        prefix = ".".join(self.path)
        self.problems.append(mark.problem(f"{prefix}: {message}" if prefix else message))

    def expected(self, node: Tree, means: str) -> Any:
        self.say(node, f"expected {means}, found {node.said()}")
        return WRONG

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Messages said inside begin with the path to `name`."""
        self.path.append(name if len(name) <= 40 else name[:37] + "...")
        try:
            yield
        finally:
            self.path.pop()


class Shape:
    """Base of all shapes. `means` is a noun phrase for messages and docs."""

    means = "anything"

    def read(self, node: Tree, reading: Reading) -> Any:
        raise NotImplementedError

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        """Draft 2020-12; shapes with a name put themselves into `defs`."""
        raise NotImplementedError


class OfScalar(Shape):
    """A shape that is one text; subclasses say how the text is taken."""

    def read(self, node: Tree, reading: Reading) -> Any:
        if not isinstance(node, Scalar) or node.absent:
            return reading.expected(node, self.means)
        return self.take(node, reading)

    def take(self, node: Scalar, reading: Reading) -> Any:
        raise NotImplementedError
