"""How is it started? The forms in which programs take their port, folder, role and leader.

Pure: makes candidates, from a command that a person wrote and from the words that a program knows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from kvsim.doctor.discovery.draft import Draft, StartForm
from kvsim.doctor.discovery.vocabulary import NAMES, Vocabulary

ROLE_PAIRS = (
    ("leader", "follower"),
    ("primary", "replica"),
    ("primary", "secondary"),
    ("primary", "backup"),
    ("master", "slave"),
    ("primary", "standby"),
    ("master", "replica"),
)
R = TypeVar("R")
# How a follower is given its leader: words, and variables with their values.
LeaderForm = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]
ROLE_NAMES = frozenset(itertools.chain(*ROLE_PAIRS))
USUAL_OPTIONS = 8
LEADER_OPTIONS_MAX = 6
FOLLOWER_NAMES = frozenset(follower for _, follower in ROLE_PAIRS)
LEADER_VALUES = ("{leader.addr}", "{leader.port}", "{leader.name}")
LEADER_URL = "http://{leader.addr}"
# Names of options that say which of these they hold.
VALUE_NAMES = {
    LEADER_URL: re.compile(r"ur[li]", re.IGNORECASE),
    "{leader.port}": re.compile("port", re.IGNORECASE),
    "{leader.name}": re.compile(r"name|[-_]id$", re.IGNORECASE),
}
ADDRESS_OPTION = re.compile(r"addr|listen|bind", re.IGNORECASE)
PORT_NUMBER = re.compile(r"\d{2,5}")
ADDRESS = re.compile(r"(?:[\w.-]+|\[[\da-fA-F:]+\])?:(\d{2,5})")
# Options of each kind, for a command that a person wrote.
WRITTEN = {
    "port": re.compile(r"-p|-P|--?(?:\w+-)?port|--?(?:listen|addr|address|bind)(?:-addr)?"),
    "data_dir": re.compile(r"-d|-D|--?(?:data[-_]?)?(?:dir|path|folder)|--?data(?:[-_]\w+)?"),
    "role": re.compile(r"-r|--?(?:role|mode)"),
    "leader": re.compile(
        r"-l|--?(?:leader|primary|master|replica-?of|follow|join|upstream)(?:[-_]\w+)?"
    ),
    "name": re.compile(r"--?(?:name|id|node|node[-_](?:id|name))"),
}
INTERPRETERS = {
    ".py": ("python3",),
    ".js": ("node",),
    ".mjs": ("node",),
    ".rb": ("ruby",),
    ".sh": ("sh",),
    ".pl": ("perl",),
    ".jar": ("java", "-jar"),
}
# Subcommands that start a node.
SERVING = ("serve", "server", "start", "run", "node", "daemon", "listen")
REJECTING = re.compile(
    r"unknown|unrecogni[sz]ed|invalid|unexpected|illegal|bad|not a valid|no such|unsupported"
    r"|not defined|extra",
    re.IGNORECASE,
)


def anchored(words: Sequence[str], folder: Path) -> tuple[str, ...]:
    """The command, with each word that is a file or folder of `folder` found there.

    A program without a slash that is a file there gets `./`, and its interpreter where it cannot be
    executed.
    """
    first, rest = words[0], words[1:]
    path = folder / first
    head: tuple[str, ...] = (first,)
    if path.is_file() and ("/" in first or not Path(first).is_absolute()):
        is_program = path.stat().st_mode & 0o111
        interpreter = INTERPRETERS.get(path.suffix)
        if not is_program and interpreter:
            head = (*interpreter, _beside(first, folder))
        elif "/" not in first:
            head = (f"./{first}",)
    return (*head, *(_beside(word, folder) for word in rest))


def _beside(word: str, folder: Path) -> str:
    """A word that is a file of the folder, as a path that holds from any directory."""
    if "{" in word or word.startswith(("-", "/")) or not word:
        return word
    parts = word.split(":")
    known = [part in (".", "..") or (folder / part).is_file() for part in parts]
    folders = [len(parts) > 1 and (folder / part).is_dir() for part in parts]
    if not any(known) or not all(
        is_known or is_folder for is_known, is_folder in zip(known, folders, strict=True)
    ):
        return word
    return ":".join(
        "{program_dir}" if part == "." else "{program_dir}/" + part.removeprefix("./")
        for part in parts
    )


def as_written(words: Sequence[str]) -> tuple[tuple[str, ...], StartForm] | None:
    """A command and its form, where a person wrote the options of a node: `--port 9001 …`.

    None where the command has no port, so that options are still to be found.
    """
    if any("{port}" in word or "{addr}" in word for word in words):
        return _split(list(words), StartForm())
    result: list[str] = []
    follower: list[str] = []
    pair = ROLE_PAIRS[0]
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        kind = _kind_of(flag)
        separate = not equals and bool(kind) and bool(rest) and not rest[0].startswith("-")
        if separate:
            value = rest.pop(0)
        text = _template(kind, value)
        if value in ROLE_NAMES or (not kind and word in ROLE_NAMES):
            pair = _pair_of(value or word)
        if not kind:
            result.append(_positional(word))
        elif kind == "leader" and text:
            follower += [flag, text] if separate else [f"{flag}={text}"]
        elif text:
            result += [flag, text] if separate else [f"{flag}={text}"]
        else:
            result += [flag, value] if separate else [word]
    if not any("{port}" in word or "{addr}" in word for word in result):
        return None
    return _split([words[0], *result], StartForm(follower=tuple(follower), role_words=pair))


def _split(words: list[str], form: StartForm) -> tuple[tuple[str, ...], StartForm]:
    """The program's own words, and the words of the node's options behind them."""
    names = re.compile(r"\{(?!program_dir\b|python\b)")
    first = next(index for index, word in enumerate(words) if names.search(word))
    if "=" not in words[first] and words[first - 1].startswith("-"):
        first -= 1
    return tuple(words[:first]), replace(form, words=tuple(words[first:]))


def _kind_of(flag: str) -> str:
    return next((kind for kind, pattern in WRITTEN.items() if pattern.fullmatch(flag)), "")


def _template(kind: str, value: str) -> str:
    """The value of an option as a template; empty where the value is of another kind."""
    address = ADDRESS.fullmatch(value)
    if kind in ("port", "leader"):
        prefix = "leader." if kind == "leader" else ""
        if PORT_NUMBER.fullmatch(value):
            return f"{{{prefix}port}}"
        if address:
            is_bare = value.startswith(":")
            return f":{{{prefix}port}}" if is_bare else f"{{{prefix}addr}}"
        return "{leader.name}" if kind == "leader" and value else ""
    if kind == "role" and value in ROLE_NAMES:
        return "{role}"
    if kind == "data_dir" and value:
        return "{data_dir}"
    if kind == "name" and value:
        return "{id}" if value.isdigit() else "{name}"
    return ""


def _positional(word: str) -> str:
    if word in ROLE_NAMES:
        return "{role}"
    if PORT_NUMBER.fullmatch(word) and int(word) >= 1024:
        return "{port}"
    return word


def _pair_of(word: str) -> tuple[str, str]:
    return next(pair for pair in ROLE_PAIRS if word in pair)


# --- candidates ---------------------------------------------------------------------------------


def option_words(name: str, value: str) -> Iterator[tuple[str, ...]]:
    """An option with its value, in the forms that are usual."""
    if name.startswith("--"):
        yield (f"{name}={value}",)
    yield (name, value)
    if not name.startswith("--") and len(name) > 2:
        yield (f"{name}={value}",)


def leader_forms(vocabulary: Vocabulary, *, ignores_options: bool = False) -> list[StartForm]:
    """The forms in which a leader alone may be started, the most likely first.

    `ignores_options`: it started with options and ignored them.
    """
    pair = role_pairs(vocabulary)[0]
    variables, positional = _variables(vocabulary), list(_positional_forms(vocabulary))
    options = [StartForm(words) for words in _option_forms(vocabulary)]
    known = any(name in vocabulary.flags for name in vocabulary.options("port"))
    mixed = list(_port_and_options(vocabulary))
    if len(mixed) > 1 and not known:
        positional = [*mixed, *positional]
    others = [*variables, *positional]
    if ignores_options or (not known and not vocabulary.options("port")):
        ordered = [*others, *options]
    elif known:
        ordered = [*options, *positional, *variables]
    else:
        # A few options, for a program that puts the dashes before its names itself.
        first = [*positional, *variables] if len(mixed) > 1 else [*variables]
        ordered = [*first, *options[:USUAL_OPTIONS], *positional, *options]
    return [replace(form, role_words=pair) for form in dict.fromkeys(ordered)]


def rejects_role_word(form: StartForm, output: str) -> bool:
    """Whether the output of a try calls the leader's word for `{role}` unknown."""
    lines = [line for line in output.splitlines() if REJECTING.search(line)]
    word = rf"\b{form.role_words[0]}\b"
    return form.names_role and any(re.search(word, line) for line in lines)


def with_role_words(
    form: StartForm, vocabulary: Vocabulary, rejected: Collection[str]
) -> StartForm | None:
    """The form with the most likely words for the roles that are not rejected; None without any."""
    if not form.names_role or form.role_words[0] not in rejected:
        return form
    pairs = [pair for pair in [*role_pairs(vocabulary), *ROLE_PAIRS] if pair[0] not in rejected]
    return replace(form, role_words=pairs[0]) if pairs else None


def _option_forms(vocabulary: Vocabulary) -> Iterator[tuple[str, ...]]:
    """Port, folder and role as options, in every mix of `--name=value` and `--name value`."""
    ports = [*vocabulary.options("port"), *NAMES["port"]]
    folders = _option_names("data_dir", vocabulary, limit=4)
    roles = _option_names("role", vocabulary, limit=1)
    for port in list(dict.fromkeys(ports))[:4]:
        takes_address = ADDRESS_OPTION.search(port) and "port" not in port
        for value in ["{addr}", ":{port}", "{port}"] if takes_address else ["{port}"]:
            for folder, role in itertools.product(folders, roles):
                choices = [
                    list(option_words(port, value)),
                    list(option_words(folder, "{data_dir}")) if folder else [()],
                    list(option_words(role, "{role}")) if role else [()],
                ]
                for parts in sorted(itertools.product(*choices), key=_mixed):
                    yield tuple(itertools.chain(*parts))
    for port in ("-p", "-P"):
        yield (port, "{port}")


def _option_names(kind: str, vocabulary: Vocabulary, limit: int) -> list[str]:
    """Names of options of one kind; the empty one stands for none.

    A text that has its other options as they are written has all of them, if any.
    """
    names = list(dict.fromkeys([*vocabulary.options(kind), *NAMES[kind]]))[:limit]
    spelled = any(name in vocabulary.flags for name in vocabulary.options("port"))
    known = [name for name in names if name in vocabulary.flags or not spelled]
    return list(dict.fromkeys([*known, "", *names]))


def _mixed(parts: Sequence[tuple[str, ...]]) -> int:
    """One style for all options comes before a mix."""
    return len({len(part) for part in parts if part})


def _positional_forms(vocabulary: Vocabulary) -> Iterator[StartForm]:
    orders: tuple[tuple[str, ...], ...] = (
        ("{port}", "{data_dir}", "{role}"),
        ("{role}", "{port}", "{data_dir}"),
        ("{port}", "{role}", "{data_dir}"),
        ("{role}", "{port}"),
        ("{port}", "{role}"),
        ("{port}", "{data_dir}"),
        ("{data_dir}", "{port}"),
        ("{name}", "{port}"),
        ("{port}",),
    )
    roles = mentions_roles(vocabulary)
    for words in orders:
        if roles or "{role}" not in words:
            yield StartForm(words)
    for name in vocabulary.options("role")[:1]:
        for words in option_words(name, "{role}"):
            yield StartForm(("{port}", "{data_dir}", *words))


def _port_and_options(vocabulary: Vocabulary) -> Iterator[StartForm]:
    """The port alone as a positional argument, and the options that the program's text has."""
    folders = [name for name in vocabulary.options("data_dir")[:2] if name in vocabulary.flags]
    names = [name for name in vocabulary.options("role")[:1] if name in vocabulary.flags]
    for folder, role in itertools.product((*folders, ""), (*names, "")):
        choices = [
            list(option_words(folder, "{data_dir}")) if folder else [()],
            list(option_words(role, "{role}")) if role else [()],
        ]
        for parts in sorted(itertools.product(*choices), key=_mixed):
            yield StartForm(("{port}", *itertools.chain(*parts)))


def _variables(vocabulary: Vocabulary) -> list[StartForm]:
    """Everything in environment variables, and the rest in options where there are such."""
    forms = []
    for port in vocabulary.environment("port"):
        env = [(port, "{addr}" if port.endswith(("ADDR", "LISTEN")) else "{port}")]
        words: list[tuple[str, ...]] = [()]
        for kind, value in (("data_dir", "{data_dir}"), ("role", "{role}")):
            names = vocabulary.environment(kind)
            flags = [name for name in vocabulary.options(kind) if name in vocabulary.flags]
            if names:
                env.append((names[0], value))
            elif flags:
                words = [(*w, *o) for w in words for o in option_words(flags[0], value)]
        forms += [StartForm(word, env=tuple(env)) for word in words]
    return forms


def mentions_roles(vocabulary: Vocabulary) -> bool:
    """Whether the program's own text has any word for a role."""
    return any(vocabulary.has_name(word) for word in (*ROLE_NAMES, "role", "readonly", "read-only"))


def role_pairs(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The pairs of words for the two roles, those that the program's text has first: as it spells
    them, then in any case. A compiler may leave out a text that is only compared.
    """
    ranked = sorted(ROLE_PAIRS, key=lambda pair: -sum(map(vocabulary.has_name, pair)))
    both = [pair for pair in ranked if all(map(vocabulary.has_name, pair))]
    spelled = [
        (spell(leader), spell(follower))
        for spell in (str.lower, str.capitalize, str.upper)
        for leader, follower in both
    ]
    exact = [pair for pair in spelled if all(map(vocabulary.has_spelling, pair))]
    ordered = [*both, *exact] if vocabulary.has_code else [*exact, *both]
    return list(dict.fromkeys(ordered)) or ranked


def follower_forms(form: StartForm, vocabulary: Vocabulary) -> Iterator[StartForm]:
    """The forms in which a follower may be started beside a leader of this form."""
    if form.follower:
        # A person wrote how the leader is named.
        for pair in _pairs_for(form, vocabulary):
            yield replace(form, role_words=pair)
    options = list(_leader_options(form, vocabulary))
    if "{data_dir}" in form.words and not any(word.startswith("-") for word in form.words):
        # The place of the folder may be that of the leader.
        short = replace(form, words=tuple(word for word in form.words if word != "{data_dir}"))
        yield from (replace(short, follower=words) for words, _ in options[:2] if words)
    if form.names_role:
        for (words, variables), pair in _in_turn(options, _pairs_for(form, vocabulary)):
            yield replace(form, role_words=pair, follower=words, env_follower=variables)
        if any(name in vocabulary.flags for name in vocabulary.options("role")):
            return
    for (words, variables), (leader, follower) in _in_turn(options, _role_flags(vocabulary)):
        yield replace(form, leader=leader, follower=(*follower, *words), env_follower=variables)
    for words, variables in options:
        if words or variables:
            yield replace(form, follower=words, env_follower=variables)


Words = tuple[str, ...]


def _role_flags(vocabulary: Vocabulary) -> list[tuple[Words, Words]]:
    """Options without a value that make a leader and a follower, where the program knows some."""
    pairs: list[tuple[Words, Words]] = []
    for leader, follower in ROLE_PAIRS:
        flags = (f"--{leader}", f"--{follower}")
        if flags[1] in vocabulary.flags:
            pairs += [((flags[0],), (flags[1],))] if flags[0] in vocabulary.flags else []
            pairs.append(((), (flags[1],)))
    known = [flag for flag in ("--read-only", "--readonly") if flag in vocabulary.flags]
    return [*dict.fromkeys(pairs), *(((), (flag,)) for flag in known)]


def _in_turn(options: Sequence[LeaderForm], roles: Sequence[R]) -> Iterator[tuple[LeaderForm, R]]:
    """Every pair, first those where one of the two is the most likely one."""
    pairs = [(i, j) for i in range(len(options)) for j in range(len(roles))]
    for i, j in sorted(pairs, key=lambda pair: (min(pair), max(pair), -pair[0])):
        yield options[i], roles[j]


def _pairs_for(form: StartForm, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The pairs of role words, first those whose word for the leader the program took."""
    pairs = list(dict.fromkeys([*role_pairs(vocabulary), form.role_words]))
    return sorted(pairs, key=lambda pair: pair[0] != form.role_words[0])


def _leader_options(form: StartForm, vocabulary: Vocabulary) -> Iterator[LeaderForm]:
    """How a follower may be given its leader: words, or variables. The last one: not at all."""
    # `--follower` makes a follower; it names no leader.
    names = [name for name in vocabulary.options("leader") if name[2:] not in FOLLOWER_NAMES]
    names = names[:LEADER_OPTIONS_MAX] or ["--leader"]
    positional = bool(form.words) and not any(word.startswith("-") for word in form.words)
    variables: list[LeaderForm] = [
        ((), ((name, value),))
        for name in vocabulary.environment("leader")[:2]
        for value in _leader_values(name, vocabulary)
    ]
    has_options = any(name in vocabulary.flags for name in names)
    if form.env:
        yield from variables
    if positional:
        yield from (((value,), ()) for value in LEADER_VALUES)
    separate = any(word.startswith("-") and "=" not in word for word in form.words)
    options: list[LeaderForm] = []
    of_names = [[(name, value) for value in _leader_values(name, vocabulary)] for name in names]
    for pair in itertools.chain(*itertools.zip_longest(*of_names)):
        if pair is not None:
            styles = list(option_words(*pair))
            ordered = reversed(styles) if separate and len(styles) > 1 else styles
            options += [(words, ()) for words in ordered]
    if form.env or has_options:
        yield from options
    else:
        # In turn: the program may know either by a word that is there for something else.
        pairs = itertools.zip_longest(options, variables)
        yield from (known for pair in pairs for known in pair if known is not None)
    yield (), ()


def _leader_values(name: str, vocabulary: Vocabulary) -> list[str]:
    """What an option or a variable of this name may hold of the leader, the most likely first."""
    speaks_http = vocabulary.has("http")
    values = [*LEADER_VALUES, *([LEADER_URL] if speaks_http else [])]
    return sorted(values, key=lambda value: not _fits(name, value))


def _fits(name: str, value: str) -> bool:
    """Whether the name of an option says that it holds a value of this kind."""
    said = VALUE_NAMES.get(value)
    return said is not None and said.search(name) is not None


def subcommands(output: str) -> list[str]:
    """The words that start a node, where an output lists subcommands: `{serve,dump}`,
    `choose from 'serve', 'dump'`, or one a line below `Commands:`."""
    lists = re.findall(r"[{(<\[]([\w-]+(?:\s?[,|]\s?[\w-]+)*)[})>\]]", output)
    lists += re.findall(
        r"(?:choose from|one of|possible values:?|expected|subcommands?:?) (.*)", output
    )
    heading = re.search(
        r"^[^\n]*\bcommands\b[^\n]*:[ \t]*\n((?:[ \t]+.*\n?|\n)+)", output, re.I | re.M
    )
    lists += re.findall(r"^[ \t]+([\w-]+)", heading[1], re.MULTILINE) if heading else []
    words = re.findall(r"[\w-]+", " ".join(lists))
    return [word for word in SERVING if word in words]


def spellings(words: Iterable[str]) -> set[str]:
    """The options among the words, each as it is spelled: `--port`, or `--port=` with a value."""
    parts = (word.partition("=") for word in words if word.startswith("-"))
    return {flag + equals for flag, equals, _ in parts}


def rejected_options(output: str, words: Sequence[str]) -> set[str]:
    """The spellings of options of a failed try that its output calls unknown."""
    lines = [line for line in output.splitlines() if REJECTING.search(line)]
    rejected = set()
    for option in spellings(words):
        shown = re.escape(option) + ("" if option.endswith("=") else r"(?![\w=-])")
        if any(re.search(rf"(?<![\w-]){shown}", line) for line in lines):
            rejected.add(option)
    return rejected


def draft_of(name: str, command: tuple[str, ...], form: StartForm) -> Draft:
    """A draft with this command."""
    return Draft(name, command, form)
