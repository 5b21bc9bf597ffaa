"""Find a program's node.yaml and read it into a `Program`. `program_schema` describes the language.

`like: NAME` takes every top-level key that is not written from another program.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kvsim import shipped
from kvsim.config import names
from kvsim.config.commands import missing_others, missing_start
from kvsim.config.data_paths import paths_outside
from kvsim.config.program import Program, Speak
from kvsim.config.program_schema import election_timeout_s
from kvsim.config.protocol_schema import OUTCOMES, SpeakSchema, kind_of
from kvsim.config.registry import Registry
from kvsim.config.request_fields import check_request_fields
from kvsim.config.request_forms import SEND, SPEAK, STEPS, RequestForms, form_of
from kvsim.config.schema import WRONG, Validation, Values
from kvsim.config.template import ARGUMENT_SCOPE, REQUEST_SCOPE, ROLE_SCOPE, Known, mistakes
from kvsim.config.yaml_nodes import (
    Fields,
    Items,
    Scalar,
    SourceLocation,
    Tree,
    display_path,
    is_file,
    quote,
    read_file,
    replace_text,
)
from kvsim.errors import Problem
from kvsim.folders import find_paths
from kvsim.text import did_you_mean

FILE = "node.yaml"
DEFAULT_SPEAK = Speak("lines")
# The longest chain of `like`.
LIKE_MAX = 8


def load_program(
    reference: str | Tree,
    relative_to: Path,
    problems: list[Problem],
    registry: Registry,
    *,
    nodes: Iterable[str] | None = None,
    has_leader: bool = True,
) -> Program | None:
    """Read a program by name (`nodes/NAME`, found upward from `relative_to`, or shipped with
    kvsim), by path, or from an inline mapping.

    `nodes` are the names for `{nodes.NAME.…}`; None allows any. `has_leader`: whether a node is
    started as leader. Adds every mistake to `problems`; None when there is any.
    """
    found = _find_tree(reference, Path(relative_to), problems)
    if found is None:
        return None
    tree, folder = found
    before = len(problems)
    merged = _merge_likes(tree, folder, problems)
    if merged is None or len(problems) > before:
        return None
    values, mistakes = _read(merged, folder, registry, nodes, has_leader)
    if mistakes:
        problems += _in_own_file(mistakes, tree, lambda: _mistakes_of_base(tree, folder, registry))
        return None
    missing = missing_start(values, folder)
    others = missing_others(values, folder)
    if others and not missing:
        problems += others
        return None
    program: Program = registry.program.build(values, folder=folder, missing=[*missing, *others])
    return program


def _read(
    tree: Fields, folder: Path, registry: Registry, nodes: Iterable[str] | None, has_leader: bool
) -> tuple[Values, list[Problem]]:
    """The values of a whole program and everything that is wrong with them."""
    validation = Validation()
    values: Values = registry.program.read(tree, validation)
    if values is not WRONG:
        known = _known_names(values, nodes, has_leader)
        _check(values, known, validation, registry)
    return values, validation.problems


def _mistakes_of_base(tree: Fields, folder: Path, registry: Registry) -> list[Problem]:
    """What is wrong with the program that `like` names, by itself."""
    like = tree.get("like")
    found = None if like is None else _find_tree(like, folder, [])
    merged = None if found is None else _merge_likes(*found, [])
    if found is None or merged is None:
        return []
    return _read(merged, found[1], registry, None, True)[1]


def _in_own_file(
    mistakes: list[Problem], tree: Fields, mistakes_of_base: Callable[[], list[Problem]]
) -> list[Problem]:
    """The mistakes, those that this file causes in a program it is `like` at its own keys.

    A key that is written here replaces the whole key of the other program; what that one's other
    keys need may be gone.
    """
    own = tree.location.file
    if all(problem.file == own for problem in mistakes):
        return mistakes
    by_itself = mistakes_of_base()
    return [
        problem if problem.file == own or problem in by_itself else _at_own_key(problem, tree)
        for problem in mistakes
    ]


def _at_own_key(problem: Problem, tree: Fields) -> Problem:
    keys = [key for key, _ in tree.entries if key.text not in ("program", "like", "title")]
    named = [key for key in keys if f"`{key.text}`" in problem.message]
    key = next(iter(named or keys), None)
    location = tree.location if key is None else key.location
    cause = "this file" if key is None else f"`{key.text}` here replaces all of it"
    where = f"{problem.file}:{problem.line}"
    return location.problem(f"{problem.message} ({where} needs it, and {cause})")


# --- where a program is ----------------------------------------------------------------------


def _find_tree(
    reference: str | Tree, relative_to: Path, problems: list[Problem]
) -> tuple[Fields, Path] | None:
    """The program's tree and its folder."""
    if isinstance(reference, Fields):
        return reference, relative_to
    location = None if isinstance(reference, str) else reference.location
    name = reference.text if isinstance(reference, Scalar) else reference
    if not isinstance(name, str) or not name:
        expected = "expected a program: a name, a path to a node.yaml, or a mapping"
        problems.append(_problem(location, expected))
        return None
    path = find_program(name, relative_to)
    if path is None:
        problems.append(_problem(location, not_found(name, relative_to)))
        return None
    tree = read_file(path, problems)
    return None if tree is None else (tree, path.parent)


def find_program(name: str, relative_to: Path) -> Path | None:
    """The node.yaml of a name or path, or None.

    Searches below `relative_to`, then in `nodes/` there and in every folder above, then among the
    programs that kvsim is shipped with.
    """
    if "\0" in name:
        return None
    for base in _bases(name, relative_to):
        for path in (base, base / FILE, Path(f"{base}.yaml")):
            if path.suffix == ".yaml" and is_file(path):
                return path
    return None


def _bases(name: str, relative_to: Path) -> Iterator[Path]:
    start = relative_to.resolve()
    if "/" in name or name.endswith(".yaml") or name in (".", ".."):
        yield start / _expand_user(name)
    if not Path(name).is_absolute():
        for folder in (start, *start.parents):
            yield folder / "nodes" / name
        yield shipped.PROGRAMS / name


def _expand_user(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:
        # There is no such user.
        return Path(name)


def not_found(name: str, relative_to: Path) -> str:
    """The message for a program that is not found: where kvsim searched, and what it found."""
    folder = display_path(relative_to)
    is_path = "/" in name or name.endswith(".yaml")
    where = (
        f"searched that path from {folder}"
        if is_path
        else f"searched nodes/ in {folder} and above, and kvsim's own programs"
    )
    known = did_you_mean(name.strip("./").split("/")[-1], _programs_near(relative_to))
    return f"no {FILE} for program {quote(name)}: {where}{known}"


def _programs_near(folder: Path) -> set[str]:
    start = folder.resolve()
    folders = (*(above / "nodes" for above in (start, *start.parents)), shipped.PROGRAMS)
    try:
        found = [path for folder in folders for path in find_paths(folder, f"*/{FILE}")]
    except OSError:
        return set()
    return {path.parent.name for path in found}


def _problem(location: SourceLocation | None, message: str) -> Problem:
    return location.problem(message) if location else Problem("--program", 0, 0, message)


def _merge_likes(tree: Fields, folder: Path, problems: list[Problem]) -> Fields | None:
    """The tree with the keys of the program that `like` names, which may have a `like` too.

    None when one of them cannot be read. `{program_dir}`, and a relative path in `start`, still
    refer to the folder of the file that they are written in.
    """
    likes = 0
    while isinstance(like := tree.get("like"), Scalar):
        likes += 1
        if likes > LIKE_MAX:
            message = "`like` leads in a circle, or through too many programs"
            problems.append(_problem(like.location, message))
            return None
        found = _find_tree(like, folder, problems)
        if found is None:
            return None
        base, folder = found
        tree = _merge(tree, _with_absolute_paths(base, folder.resolve()))
    return tree


def _with_absolute_paths(base: Fields, folder: Path) -> Fields:
    """The program's tree, with the paths that are relative to its folder made absolute."""
    entries = []
    for key, value in base.entries:
        replaced = replace_text(value, "{program_dir}", str(folder))
        entries.append(
            (key, _absolute_start(replaced, folder) if key.text == "start" else replaced)
        )
    return Fields(base.location, tuple(entries))


def _absolute_start(start: Tree, folder: Path) -> Tree:
    """A start command, or one for each role, with the path to its program made absolute."""
    if isinstance(start, Fields):
        entries = ((role, _absolute_start(command, folder)) for role, command in start.entries)
        return Fields(start.location, tuple(entries))
    if not isinstance(start, Items) or not start.items or not isinstance(start.items[0], Scalar):
        return start
    first, arguments = start.items[0], start.items[1:]
    if "/" not in first.text or first.text.startswith(("/", "{")):
        return start
    path = Scalar(first.location, f"{folder}/{first.text}", first.plain)
    return Items(start.location, (path, *arguments))


def _merge(tree: Fields, base: Fields) -> Fields:
    """The keys of `tree` except `like`, and those of `base` that `tree` does not have."""
    own = [entry for entry in tree.entries if entry[0].text != "like"]
    written = {key.text for key, _ in own}
    added = [entry for entry in base.entries if entry[0].text not in written]
    return Fields(tree.location, (*own, *added))


# --- what a schema cannot check --------------------------------------------------------------


def _known_names(values: Values, nodes: Iterable[str] | None, has_leader: bool) -> Known:
    leaderless = "elects" in values.get("capabilities", ()) and not has_leader
    ports, options = values.get("ports", ()), values.get("options", {})
    return names.known_names(ports, options, nodes, leader=not leaderless)


def _check(values: Values, known: Known, validation: Validation, registry: Registry) -> None:
    _check_options(values, validation)
    scopes = {
        REQUEST_SCOPE: names.known_in_requests(known),
        ROLE_SCOPE: names.known_in_role_words(known),
    }
    for scalar, scope in validation.templates:
        is_argument = scope == ARGUMENT_SCOPE
        check_template(scalar, scopes.get(scope, known), validation, argument=is_argument)
    _check_shapes(values, validation, registry)
    _check_requests(values, validation)
    if kind_of(values.get("speak", DEFAULT_SPEAK)) in registry.protocols:
        check_request_fields(values, validation)
    _check_paths(values, validation)
    _check_ports(values, validation)
    _check_stop(values.get("stop"), validation)
    _check_keeps(values, validation)
    _check_survives(values, validation)
    _check_elections(values, validation)


def check_template(
    scalar: Scalar, known: Known, validation: Validation, *, argument: bool = False
) -> None:
    """Report each unknown name in the template. `argument`: it is an argument of a command."""
    for message in mistakes(scalar.text, known, argument=argument):
        validation.report(scalar, message)


def _check_options(values: Values, validation: Validation) -> None:
    for name in values.get("options", {}):
        if name in names.RESERVED:
            validation.report(
                values.node_of("options"),
                f"an option cannot be called `{name}`: templates use that name already",
            )


def _check_paths(values: Values, validation: Validation) -> None:
    """Paths below the data directory, with the default values of options."""
    options = {name: given[0] for name, given in values.get("options", {}).items()}
    for key in values.keys_in("files"):
        for message in paths_outside({key.text: "files"}, options):
            validation.report(key, message)
    stop = values.get("stop")
    if isinstance(stop, Values) and stop.get("pid_file"):
        for message in paths_outside({stop["pid_file"]: "stop.pid_file"}, options):
            validation.report(stop.node_of("pid_file"), message)


def _check_shapes(values: Values, validation: Validation, registry: Registry) -> None:
    """Each request, by the protocol that it is sent in."""
    requests = values.node_of("requests")
    if not values.is_written("requests") or not isinstance(requests, Fields):
        return
    given = values.get("speak", DEFAULT_SPEAK)
    kind, settings = (given.kind, given.settings) if isinstance(given, Speak) else given
    if len(validation.problems) and values.is_written("speak"):
        # The settings may be wrong: then nothing is known of requests.
        settings = {}
    speak = SpeakSchema(registry.protocols, registry.language_of)
    forms = RequestForms(speak.request_schema(kind, settings), speak)
    for verb, tree in requests.entries:
        with validation.inside(f"requests.{verb.text}"):
            forms.read(tree, validation)
            if form_of(values["requests"].get(verb.text)) == STEPS and _closes(settings):
                validation.report(tree, "`steps` need one connection that lasts")


def _closes(settings: Mapping[str, object]) -> bool:
    """Whether a connection carries only one request."""
    return "per_request" in settings.values() or settings.get("reply_ends") == "close"


def _check_requests(values: Values, validation: Validation) -> None:
    requests = set(values.get("requests", ()))
    for key in values.keys_in("replies"):
        if key.text not in {*requests, "any", *OUTCOMES}:
            known = did_you_mean(key.text, requests)
            message = f"replies for {quote(key.text)}, which is not in `requests`{known}"
            validation.report(key, message)
    status = values.get("status")
    if isinstance(status, Values) and status.get("request") not in requests:
        validation.report(
            status.node_of("request"),
            f"status asks with `{status.get('request')}`, which is not in `requests`",
        )
    for probes in _probe_records(values):
        _check_probe_requests(probes, requests, validation)


def _check_probe_requests(probes: Values, requests: set[str], validation: Validation) -> None:
    if probes.get("ping") and "ping" not in requests:
        validation.report(probes.node_of("ping"), "ping: true needs a `ping` in `requests`")
    request = probes.get("request")
    if isinstance(request, Values) and request.get("send") not in {None, *requests}:
        known = did_you_mean(request["send"], requests)
        message = f"`{request['send']}` is not in `requests`{known}"
        validation.report(request.node_of("send"), message)


def _probe_records(values: Values) -> Iterator[Values]:
    """The probes of `ready` and `cluster_ready`, and of the alternatives in them."""
    for name in ("ready", "cluster_ready"):
        ready = values.get(name)
        if isinstance(ready, Values):
            yield ready
            yield from (probe for probe in ready.get("any") or () if isinstance(probe, Values))


def _check_ports(values: Values, validation: Validation) -> None:
    ports: tuple[str, ...] = values.get("ports", ())
    for port_name in _speak_ports(values):
        if port_name.text not in ports:
            message = (
                f"port `{port_name.text}` is not in `ports`{did_you_mean(port_name.text, ports)}"
            )
            validation.report(port_name, message)
    for name in {port for port in ports if ports.count(port) > 1}:
        validation.report(values.node_of("ports"), f"port `{name}` is repeated")
    for probes in _probe_records(values):
        port = probes.get("port")
        probed: str | None = port.get("name") if isinstance(port, Values) else None
        if probed and probed not in ports:
            message = f"port `{probed}` is not in `ports`{did_you_mean(probed, ports)}"
            validation.report(probes.node_of("port"), message)


def _speak_ports(values: Values) -> Iterator[Scalar]:
    """The `port` of every `speak`: the program's, and those of single requests."""
    found = [values.node_of("speak")] if values.is_written("speak") else []
    if values.is_written("requests"):
        found += _speaks_in(values.node_of("requests"))
    for speak in found:
        port = speak.get("port") if isinstance(speak, Fields) else None
        if isinstance(port, Scalar):
            yield port


def _speaks_in(tree: Tree) -> Iterator[Tree]:
    if isinstance(tree, Items):
        for item in tree.items:
            yield from _speaks_in(item)
    elif isinstance(tree, Fields):
        speak = tree.get(SPEAK)
        if speak is not None and tree.get(SEND) is not None:
            yield speak
        for _, value in tree.entries:
            yield from _speaks_in(value)


def _check_keeps(values: Values, validation: Validation) -> None:
    if values.get("keeps") != "nothing":
        return
    writes = (values.get("guarantees") or {}).get("writes", "")
    promised = "capability `restart`" if "restart" in values.get("capabilities", ()) else ""
    if str(writes).startswith("durable"):
        promised = f"guarantee `writes: {writes}`"
    if promised:
        validation.report(values.node_of("keeps"), f"keeps: nothing contradicts the {promised}")


def _check_survives(values: Values, validation: Validation) -> None:
    """The options that guarantees hang on have to be the program's."""
    written = values.get("guarantees")
    if not isinstance(written, Values):
        return
    for key in ("survives", "power_loses_at_most"):
        found = written.get(key)
        for option in found if isinstance(found, dict) else ():
            if option not in (values.get("options") or {}):
                message = f"guarantees.{key}: the program has no option `{option}`"
                validation.report(written.node_of(key), message)


def _check_elections(values: Values, validation: Validation) -> None:
    """It elects, and its election timeout is a time with every listed value of its options."""
    written = values.get("elections")
    if not isinstance(written, Values):
        return
    if values.is_written("capabilities") and "elects" not in values["capabilities"]:
        message = "elections: its `capabilities` do not say that it `elects`"
        validation.report(written.node, message)
    options = values.get("options") or {}
    timeout = written.get("timeout") or ""
    names = sorted(set(re.findall(r"\{(\w+)\}", timeout)))
    if any(name not in options for name in names):
        # Reported with the other templates.
        return
    for given in itertools.product(*(options[name] for name in names)):
        chosen = dict(zip(names, given, strict=True))
        if election_timeout_s(timeout, chosen) is None:
            with_options = "".join(f" with {name}={value}" for name, value in chosen.items())
            message = f"elections.timeout: {quote(timeout)}{with_options} is no time such as 500ms"
            validation.report(written.node_of("timeout"), message)


def _check_stop(stop: Any, validation: Validation) -> None:
    if not isinstance(stop, Values):
        return
    methods = [name for name in ("signal", "command", "steps") if stop.is_written(name)]
    if len(methods) > 1:
        written = " and ".join(methods)
        message = f"stop: write only one of {written} (`steps` can hold every kind)"
        validation.report(stop.node, message)
    if stop.is_written("steps") and stop.is_written("grace"):
        message = "stop: `grace` belongs to `signal` or `command`; a step has its own `wait`"
        validation.report(stop.node_of("grace"), message)
