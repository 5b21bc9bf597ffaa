"""Find a program's node.yaml, read it, and turn it into a `Program`. What may stand in it is `program_words.py`'s table.

`like: NAME` takes every top-level key that is not written from another program. Sits beside cluster_file.py, which calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kvsim.config import names
from kvsim.config.common_words import REQUEST
from kvsim.config.program import Program
from kvsim.config.program_build import build
from kvsim.config.program_words import PROGRAM
from kvsim.config.protocol_words import OUTCOMES
from kvsim.config.shape import WRONG, Reading, Values
from kvsim.config.spelling import did_you_mean
from kvsim.config.template import Known, mistakes
from kvsim.config.yaml_tree import (
    Fields,
    Items,
    Mark,
    Scalar,
    Tree,
    is_file,
    quoted,
    read_file,
    replaced,
    shown,
)
from kvsim.errors import Problem

FILE = "node.yaml"
LIKE_MAX = 8  # programs that are like programs that are like …


class Setting(Protocol):
    """What a protocol says of one of its settings: `read` raises ValueError, saying what it wants."""

    read: Callable[[object], object]


@dataclass(frozen=True)
class Around:
    """What a program is held against: names for `{nodes.NAME.…}` (None: any), whether a node is started as leader, and
    protocol → its settings (None: any)."""

    nodes: Iterable[str] | None = None
    leader: bool = True
    settings_of: Callable[[str], Mapping[str, Setting] | None] = lambda _: None


ANYWHERE = Around()


def load_program(
    reference: str | Tree, relative_to: Path, problems: list[Problem], around: Around = ANYWHERE
) -> Program | None:
    """Read a program by name (`nodes/NAME` found upward from `relative_to`), by path, or from an inline mapping.

    Adds every mistake to `problems`; None when there is any.
    """
    found = _tree_of(reference, Path(relative_to), problems)
    if found is None:
        return None
    tree, folder = found
    before = len(problems)
    whole = _with_likes(tree, folder, problems)
    return None if whole is None or len(problems) > before else _read(whole, folder, problems, around)


def _read(tree: Fields, folder: Path, problems: list[Problem], around: Around) -> Program | None:
    reading = Reading()
    values = PROGRAM.read(tree, reading)
    if values is not WRONG:
        _check(values, reading, around)
    problems.extend(reading.problems)
    return None if reading.problems else build(values, folder)


# --- where a program is -----------------------------------------------------------------------------------------------


def _tree_of(reference: str | Tree, relative_to: Path, problems: list[Problem]) -> tuple[Fields, Path] | None:
    """The program's tree and the folder it stands in."""
    if isinstance(reference, Fields):
        return reference, relative_to
    where = reference if isinstance(reference, Scalar) else None
    text = reference.text if isinstance(reference, Scalar) else reference
    if isinstance(text, Items) or not text:
        mark = reference.mark if isinstance(reference, Scalar | Items) else None
        problems.append(_at(mark, "expected a program: a name, a path to a node.yaml, or a mapping"))
        return None
    path = find_program(text, relative_to)
    if path is None:
        problems.append(_at(where and where.mark, not_found(text, relative_to)))
        return None
    tree = read_file(path, problems)
    return None if tree is None else (tree, path.parent)


def find_program(name: str, relative_to: Path) -> Path | None:
    """The node.yaml meant by a name or path, or None. Looks below `relative_to`, then in `nodes/` there and in every folder above."""
    if "\0" in name:
        return None
    for base in _bases(name, relative_to):
        for path in (base, base / FILE, Path(f"{base}.yaml")):
            if path.suffix == ".yaml" and is_file(path):
                return path
    return None


def _bases(name: str, relative_to: Path) -> Iterable[Path]:
    start = relative_to.resolve()
    if "/" in name or name.endswith(".yaml") or name in (".", ".."):
        yield start / _at_home(name)
    if not Path(name).is_absolute():
        for folder in (start, *start.parents):
            yield folder / "nodes" / name


def _at_home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # `~nobody`
        return Path(name)


def not_found(name: str, relative_to: Path) -> str:
    """Say where was looked, and which programs there are."""
    near = shown(relative_to)
    is_path = "/" in name or name.endswith(".yaml")
    where = f"looked at that path from {near}" if is_path else f"looked in nodes/ beside and above {near}"
    return f"no {FILE} for program {quoted(name)}: {where}{did_you_mean(name.strip('./').split('/')[-1], _programs_near(relative_to))}"


def _programs_near(folder: Path) -> set[str]:
    start = folder.resolve()
    try:
        found = [path for above in (start, *start.parents) for path in (above / "nodes").glob(f"*/{FILE}")]
    except OSError:
        return set()
    return {path.parent.name for path in found}


def _at(mark: Mark | None, message: str) -> Problem:
    return mark.problem(message) if mark else Problem("--program", 0, 0, message)


def _with_likes(tree: Fields, folder: Path, problems: list[Problem]) -> Fields | None:
    """The tree with what `like` adds, over as many programs as it takes. None when one of them cannot be read.

    `{program_dir}`, and a relative path in `start`, keep meaning the folder they were written in.
    """
    likes = 0
    while isinstance(tree.get("like"), Scalar):
        like = tree.get("like")
        likes += 1
        if likes > LIKE_MAX:
            problems.append(_at(like.mark, "`like` leads round in a circle, or through too many programs"))
            return None
        found = _tree_of(like, folder, problems)
        if found is None:
            return None
        base, folder = found
        tree = _laid_over(tree, _anchored(base, folder.resolve()))
    return tree


def _anchored(base: Fields, folder: Path) -> Fields:
    entries = replaced(base, "{program_dir}", str(folder)).entries
    return Fields(base.mark, tuple((k, _anchor(v, folder) if k.text == "start" else v) for k, v in entries))


def _anchor(start: Tree, folder: Path) -> Tree:
    """A start command, or one for each role, with the path to its program made absolute."""
    if isinstance(start, Fields):
        return Fields(start.mark, tuple((key, _anchor(value, folder)) for key, value in start.entries))
    if not isinstance(start, Items) or not start.items or not isinstance(start.items[0], Scalar):
        return start
    first = start.items[0]
    if "/" not in first.text or first.text.startswith(("/", "{")):
        return start
    return Items(start.mark, (Scalar(first.mark, f"{folder}/{first.text}", first.plain), *start.items[1:]))


def _laid_over(tree: Fields, base: Fields) -> Fields:
    own = tuple((key, value) for key, value in tree.entries if key.text != "like")
    written = {key.text for key, _ in own}
    return Fields(tree.mark, own + tuple(entry for entry in base.entries if entry[0].text not in written))


# --- what a shape cannot see -----------------------------------------------------------------------------------------


def _check(values: Values, reading: Reading, around: Around) -> None:
    ports, options = values.get("ports", ()), values.get("options", {})
    _check_options(values, reading, options)
    leaderless = "elects" in values.get("capabilities", ()) and not around.leader
    known = names.known_names(ports, options, around.nodes, leader=not leaderless)
    in_requests = names.known_in_requests(known)
    for scalar, scope in reading.templates:
        check_template(scalar, in_requests if scope == REQUEST else known, reading)
    _check_speak(values.get("speak"), reading, around)
    _check_requests(values, reading)
    _check_ports(values, reading, ports)
    _check_stop(values.get("stop"), reading)


def check_template(scalar: Scalar, known: Known, reading: Reading) -> None:
    """Add one problem for each name in the template that nobody knows."""
    for message in mistakes(scalar.text, known):
        reading.say(scalar, message)


def _check_options(values: Values, reading: Reading, options: Mapping[str, str]) -> None:
    for name in options:
        if name in names.RESERVED:
            reading.say(
                values.at("options"), f"an option cannot be called `{name}`: templates use that name already"
            )


def _check_speak(speak: Any, reading: Reading, around: Around) -> None:
    """Settings of the protocol, where the caller knows them."""
    table = around.settings_of(speak.get("kind", "")) if isinstance(speak, Values) else None
    if table is None:
        return
    for key, tree in speak.node.entries:
        if key.text == "kind":
            continue
        with reading.inside(f"speak.{key.text}"):
            _check_setting(speak["kind"], key, tree, speak.get(key.text), table, reading)


def _check_setting(
    kind: str, key: Scalar, tree: Tree, value: Any, table: Mapping[str, Setting], reading: Reading
) -> None:
    if key.text not in table:
        reading.say(key, f"{kind} has no such setting{did_you_mean(key.text, table)}")
        return
    try:
        table[key.text].read(value)
    except (ValueError, TypeError, KeyError) as error:
        reading.say(tree, f"{error}; found {tree.said()}")


def _check_requests(values: Values, reading: Reading) -> None:
    requests = set(values.get("requests", ()))
    replies = values.at("replies")
    for key, _ in replies.entries if values.wrote("replies") and isinstance(replies, Fields) else ():
        if key.text not in {*requests, "any", *OUTCOMES}:
            hint = did_you_mean(key.text, requests)
            reading.say(key, f"replies for {quoted(key.text)}, which is not in `requests`{hint}")
    status = values.get("status")
    if isinstance(status, Values) and status.get("request") not in requests:
        reading.say(
            status.at("request"), f"status asks with `{status.get('request')}`, which is not in `requests`"
        )
    _check_probes(values.get("ready"), requests, reading)
    _check_probes(values.get("cluster_ready"), requests, reading)


def _check_probes(ready: Any, requests: set[str], reading: Reading) -> None:
    for values in _probe_records(ready):
        if values.get("ping") and "ping" not in requests:
            reading.say(values.at("ping"), "ping: true needs a `ping` in `requests`")
        request = values.get("request")
        if request and request["send"] not in requests:
            hint = did_you_mean(request["send"], requests)
            reading.say(request.at("send"), f"`{request['send']}` is not in `requests`{hint}")


def _probe_records(ready: Any) -> list[Values]:
    if not isinstance(ready, Values):
        return []
    return [ready, *(one for one in ready.get("any") or () if isinstance(one, Values))]


def _check_ports(values: Values, reading: Reading, ports: tuple[str, ...]) -> None:
    for name in {port for port in ports if ports.count(port) > 1}:
        reading.say(values.at("ports"), f"port `{name}` a second time")
    for record in (*_probe_records(values.get("ready")), *_probe_records(values.get("cluster_ready"))):
        name = (record.get("port") or {}).get("name")
        if name and name not in ports:
            reading.say(record.at("port"), f"port `{name}` is not in `ports`{did_you_mean(name, ports)}")


def _check_stop(stop: Any, reading: Reading) -> None:
    if isinstance(stop, Values):
        ways = [name for name in ("signal", "command", "steps") if stop.wrote(name)]
        if len(ways) > 1:
            reading.say(
                stop.node, f"stop: write only one of {' and '.join(ways)} (`steps` can hold all of it)"
            )
        if stop.wrote("steps") and stop.wrote("grace"):
            reading.say(
                stop.at("grace"), "stop: `grace` belongs to `signal` or `command`; a step has its own `wait`"
            )
