"""The protocols that are usual, as candidates to be tried. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.doctor.discovery.draft import RequestTemplate
from kvsim.doctor.discovery.sniff import Sniffed
from kvsim.doctor.discovery.vocabulary import Vocabulary


class Candidate(Struct, frozen=True):
    """A protocol with its requests. `deletes` are tried one after another.

    `unknown` is a request that no store knows; None where the protocol has none.
    """

    speak: str
    put: RequestTemplate
    get: RequestTemplate
    deletes: tuple[RequestTemplate, ...]
    unknown: RequestTemplate | None = None
    settings: Mapping[str, object] = field(default_factory=dict)

    def describe(self) -> str:
        return f"{self.speak}: {_shown(self.put)}"


def _shown(request: RequestTemplate) -> str:
    if isinstance(request, str):
        return request
    if isinstance(request, tuple):
        return " ".join(request)
    body = f" {request['body']}" if "body" in request else ""
    return f"{request['method']} {request['path']}{body}"


UNKNOWN_WORD = "kvsiminit"
WRITES = ("put", "set", "write", "insert", "store", "add")
READS = ("get", "read", "fetch", "lookup")
DELETES = ("delete", "del", "remove", "rm", "erase")
WORDS = tuple(
    sorted(itertools.product(WRITES, READS), key=lambda p: WRITES.index(p[0]) + READS.index(p[1]))
)


def _words(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Words for put and get: the usual two pairs, then those that the program's text has."""
    rest = [pair for pair in WORDS if all(map(vocabulary.has, pair))]
    return list(dict.fromkeys([("put", "get"), ("set", "get"), *rest]))


# --- a command-line client ----------------------------------------------------------------------

CLIENT_OPTIONS: tuple[tuple[str, ...], ...] = (
    ("--port={port}",),
    ("--port", "{port}"),
    ("-p", "{port}"),
    ("{host}", "{port}"),
    ("{addr}",),
    ("{port}",),
    ("--host", "{host}", "--port", "{port}"),
    ("--host={host}", "--port={port}"),
    ("-h", "{host}", "-p", "{port}"),
    ("--addr", "{addr}"),
    ("--addr={addr}",),
    ("--server", "{addr}"),
    ("--server={addr}",),
    ("--node={addr}",),
)


Command = tuple[str, ...]
# The program of a verb, and the word for the verb in its command, if any.
Naming = Callable[[str], tuple[Command, Command]]
PLACES = ("before", "behind", "between")


def client_candidates(
    client: Sequence[str], vocabulary: Vocabulary, is_program: Callable[[str], bool]
) -> Iterator[Candidate]:
    """Commands of a client: its options in the usual forms and places, verbs in lower and upper
    case. Where its name has a verb, with the programs beside it that are named by other verbs
    (`is_program`).
    """
    base = _client_template(client)
    complete = any("{port}" in word or "{addr}" in word for word in base)
    options: Sequence[Command] = [()] if complete else CLIENT_OPTIONS
    if not complete:
        options = sorted(options, key=lambda words: not _is_known(words, vocabulary))
    for put, get, naming in _programs_of_verbs(base, is_program):
        for place, option in itertools.product(PLACES[:2], options):
            yield _client_candidate(naming, place, option, put, get)
    # An option that a client does not take fails with every verb, so the verbs change last.
    for (put, get), shape in itertools.product(_words(vocabulary), (str.lower, str.upper)):
        naming = _one_program(base, shape)
        for place, option in itertools.product(PLACES[: 1 if complete else 3], options):
            yield _client_candidate(naming, place, option, put, get)


def _one_program(base: Command, shape: Callable[[str], str]) -> Naming:
    return lambda verb: (base, (shape(verb),))


def _programs_of_verbs(
    base: Command, is_program: Callable[[str], bool]
) -> Iterator[tuple[str, str, Naming]]:
    """Programs with a verb in their names, such as `kv-put` and `kv-get`: words for put and get."""
    for index, word in enumerate(base):
        for known in (*WRITES, *READS):
            if known not in word.rpartition("/")[2] or "{" in word:
                continue
            naming = _named_programs(base, index, known)
            for put, get in WORDS:
                programs = [naming(verb)[0][index] for verb in (put, get)]
                if known in (put, get) and all(map(is_program, programs)):
                    yield put, get, naming


def _named_programs(base: Command, index: int, known: str) -> Naming:
    """The verb in the place of a known one in the name of a program, which is a word of `base`."""
    folder, slash, name = base[index].rpartition("/")

    def naming(verb: str) -> tuple[Command, Command]:
        program = folder + slash + name.replace(known, verb)
        return (*base[:index], program, *base[index + 1 :]), ()

    return naming


def _client_candidate(naming: Naming, place: str, option: Command, put: str, get: str) -> Candidate:
    def command(verb: str, *rest: str) -> Command:
        program, word = naming(verb)
        if place == "before":
            return (*program, *option, *word, *rest)
        if place == "behind":
            return (*program, *word, *rest, *option)
        return (*program, *word, *option, *rest)

    return Candidate(
        "command",
        command(put, "{key}", "{value}"),
        command(get, "{key}"),
        tuple(command(word, "{key}") for word in DELETES),
        command(UNKNOWN_WORD, "{key}"),
    )


def _is_known(words: tuple[str, ...], vocabulary: Vocabulary) -> bool:
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    return bool(flags) and all(flag in vocabulary.flags for flag in flags)


def _client_template(client: Sequence[str]) -> tuple[str, ...]:
    """A client's command with the ports that a person wrote as names in braces."""
    result: list[str] = []
    for word in client:
        named = re.fullmatch(r"(--?(?:port|p))=\d{2,5}", word)
        after = result[-1:] in (["--port"], ["-p"], ["-port"])
        if named:
            result.append(f"{named[1]}={{port}}")
        elif after and word.isdigit():
            result.append("{port}")
        elif re.fullmatch(r"(?:127\.0\.0\.1|localhost):\d{2,5}", word):
            result.append("{addr}")
        else:
            result.append(word)
    return tuple(result)


# --- a socket -----------------------------------------------------------------------------------


def socket_candidates(sniffed: Sniffed, vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Every usual protocol, those first that the answer to a first line makes likely."""
    families: dict[str, Callable[[], Iterator[Candidate]]] = {
        "lines": lambda: _ended(_lines(sniffed, vocabulary), sniffed),
        "resp": _resp,
        "http": lambda: _http(vocabulary),
        "frames": lambda: _frames(vocabulary),
    }
    if sniffed.is_http:
        order = ["http"]
    elif sniffed.is_resp:
        order = ["resp", "lines"]
    elif sniffed.is_text or sniffed.greeting:
        order = ["lines", "resp"]
    else:
        order = ["frames", "resp", "http", "lines"]
    for name in order:
        yield from families[name]()


def _ended(candidates: Iterator[Candidate], sniffed: Sniffed) -> Iterator[Candidate]:
    """The candidates, with a blank line behind each request where the store waits for one."""
    for candidate in candidates:
        texts = (candidate.put, candidate.get, candidate.unknown, *candidate.deletes)
        if not sniffed.wants_blank_line or not all(isinstance(t, str | None) for t in texts):
            yield candidate
            continue
        yield replace(
            candidate,
            put=f"{candidate.put}\n",
            get=f"{candidate.get}\n",
            deletes=tuple(f"{text}\n" for text in candidate.deletes),
            unknown=candidate.unknown and f"{candidate.unknown}\n",
            settings={**candidate.settings, **_blank_line_settings(sniffed)},
        )


def _blank_line_settings(sniffed: Sniffed) -> dict[str, object]:
    """A reply that ends with a blank line, too."""
    ends = sniffed.reply.replace(b"\r", b"").endswith(b"\n\n")
    return {"until": dict.fromkeys(("put", "get", "delete"), "^$")} if ends else {}


def _line_settings(sniffed: Sniffed) -> dict[str, object]:
    settings: dict[str, object] = {}
    if sniffed.reply.endswith(b"\r\n") or sniffed.line_end == b"\r\n":
        settings["line_end"] = "crlf"
        if sniffed.reply.endswith(b"\n") and not sniffed.reply.endswith(b"\r\n"):
            settings["reply_line_end"] = "lf"
    greeting = sniffed.greeting.decode("utf-8", "replace")
    if greeting and not greeting.endswith("\n"):
        settings["prompt"] = greeting
    elif greeting:
        settings["greeting"] = str(greeting.count("\n"))
    if sniffed.closed and sniffed.reply and not sniffed.reply.endswith(b"\n"):
        settings["reply_ends"] = "close"
    elif sniffed.closed and sniffed.reply:
        settings["connection"] = "per_request"
    return settings


def _lines(sniffed: Sniffed, vocabulary: Vocabulary) -> Iterator[Candidate]:
    settings = _line_settings(sniffed)
    # Upper case first: some stores close the connection after an unknown verb in lower case.
    for put, get in _words(vocabulary):
        for shape in (str.upper, str.lower):
            yield _text("lines", shape, put, get, settings)
    yield from _json("lines", vocabulary, settings)
    for separator in (",", ":", "|", "\t", "="):
        for shape in (str.upper, str.lower):
            yield _text("lines", shape, "put", "get", settings, separator)
    yield Candidate(
        "lines",
        "set {key} 0 0 {value.bytes}\r\n{value}",
        "get {key}",
        ("delete {key}",),
        settings={**settings, "line_end": "crlf", "until": {"get": "^(?:END|.*ERROR.*)$"}},
    )


def _text(
    speak: str,
    shape: Callable[[str], str],
    put: str,
    get: str,
    settings: Mapping[str, object],
    separator: str = " ",
) -> Candidate:
    between = " " if separator == "=" else separator
    return Candidate(
        speak,
        f"{shape(put)}{between}{{key}}{separator}{{value}}",
        f"{shape(get)}{between}{{key}}",
        tuple(f"{shape(word)}{between}{{key}}" for word in DELETES),
        f"{shape(UNKNOWN_WORD)}{between}{{key}}",
        settings,
    )


def _json(
    speak: str, vocabulary: Vocabulary, settings: Mapping[str, object]
) -> Iterator[Candidate]:
    names = ("op", "cmd", "command", "type", "action", "method", "verb")
    known = [name for name in names if vocabulary.has(name)] or names[:3]
    for name, (put, get), case in itertools.product(
        known, _words(vocabulary), (str.lower, str.upper)
    ):
        yield Candidate(
            speak,
            f'{{"{name}": "{case(put)}", "key": {{key.json}}, "value": {{value.json}}}}',
            f'{{"{name}": "{case(get)}", "key": {{key.json}}}}',
            tuple(f'{{"{name}": "{case(word)}", "key": {{key.json}}}}' for word in DELETES),
            f'{{"{name}": "{case(UNKNOWN_WORD)}", "key": {{key.json}}}}',
            settings,
        )


def _resp() -> Iterator[Candidate]:
    yield Candidate(
        "resp",
        ("SET", "{key}", "{value}"),
        ("GET", "{key}"),
        (("DEL", "{key}"), ("DELETE", "{key}")),
        (UNKNOWN_WORD.upper(), "{key}"),
    )
    yield Candidate(
        "resp",
        ("PUT", "{key}", "{value}"),
        ("GET", "{key}"),
        (("DELETE", "{key}"), ("DEL", "{key}")),
        (UNKNOWN_WORD.upper(), "{key}"),
    )


FRAMINGS: tuple[dict[str, object], ...] = (
    # Four bytes, the big end first.
    {},
    {"byte_order": "little"},
    {"size": 2},
    {"size": 8},
    {"size": 2, "byte_order": "little"},
    {"size": 1},
    {"includes_itself": True},
    {"size": 8, "byte_order": "little"},
)


def _frames(vocabulary: Vocabulary) -> Iterator[Candidate]:
    for settings in FRAMINGS:
        first, *rest = _words(vocabulary)
        for shape in (str.lower, str.upper):
            yield _text("frames", shape, *first, settings)
        for size in ("u16", "u32", "u8"):
            yield Candidate(
                "frames",
                f"{{0x01}}{{key.{size}}}{{key}}{{value}}",
                f"{{0x02}}{{key.{size}}}{{key}}",
                (f"{{0x03}}{{key.{size}}}{{key}}",),
                settings=settings,
            )
        for put, get in rest:
            for shape in (str.lower, str.upper):
                yield _text("frames", shape, put, get, settings)
        yield from itertools.islice(_json("frames", vocabulary, settings), 12)


# --- HTTP ---------------------------------------------------------------------------------------

PREFIXES = (
    "/kv/",
    "/keys/",
    "/key/",
    "/store/",
    "/data/",
    "/api/kv/",
    "/api/keys/",
    "/v1/kv/",
    "/v1/keys/",
    "/api/v1/kv/",
    "/api/v1/keys/",
    "/values/",
    "/",
)
OTHER_PATHS = re.compile(r"role|status|health|ping|metric|leader|ready|info|admin|snapshot|raft")
JSON_HEADER = {"content-type": "application/json"}
# The odd spaces show a store that keeps the body as it is.
JSON_VALUE = '{ "value" : {value.json} }'
JSON_PAIR = '{ "key" : {key.json}, "value" : {value.json} }'
JSON_KEY = '{ "key" : {key.json} }'


def _http(vocabulary: Vocabulary) -> Iterator[Candidate]:
    own = _own_paths(vocabulary)
    prefixes = dict.fromkeys([*own[:8], *PREFIXES])
    for prefix in prefixes:
        path = f"{prefix}{{key}}"
        for method in ("PUT", "POST"):
            for body, headers in ((JSON_VALUE, JSON_HEADER), ("{value}", {})):
                yield Candidate(
                    "http",
                    _request(method, path, body, headers),
                    _request("GET", path),
                    (_request("DELETE", path),),
                )
    for stem in dict.fromkeys([*own[:8], "/", "/kv/", "/api/"]):
        base = stem.rstrip("/")
        for put, get in (("put", "get"), ("set", "get")):
            yield from _by_verb(base, put, get)
        yield Candidate(
            "http",
            _request("POST", base or "/", JSON_PAIR, JSON_HEADER),
            _request("GET", f"{base}/{{key}}"),
            (_request("DELETE", f"{base}/{{key}}"),),
        )
        for method in ("PUT", "POST"):
            yield Candidate(
                "http",
                _request(method, f"{base or '/'}?key={{key}}&value={{value}}"),
                _request("GET", f"{base or '/'}?key={{key}}"),
                (_request("DELETE", f"{base or '/'}?key={{key}}"),),
            )


def _own_paths(vocabulary: Vocabulary) -> list[str]:
    """The paths in the program's own text, first those that look like the place of keys."""
    paths = vocabulary.paths()
    found = dict.fromkeys(path.rstrip("/") + "/" for path in paths)

    def rank(path: str) -> tuple[bool, bool, bool]:
        return OTHER_PATHS.search(path) is not None, path not in PREFIXES, path not in paths

    return sorted(found, key=rank)


def _by_verb(base: str, put: str, get: str) -> Iterator[Candidate]:
    """Paths that name the verb: `/put?key=k&value=v`, or a JSON body."""
    removes = ("delete", "del", "remove")
    for write in ("POST", "PUT", "GET"):
        yield Candidate(
            "http",
            _request(write, f"{base}/{put}?key={{key}}&value={{value}}"),
            _request("GET", f"{base}/{get}?key={{key}}"),
            tuple(
                _request(method, f"{base}/{word}?key={{key}}")
                for word in removes
                for method in dict.fromkeys([write, "DELETE", "POST"])
            ),
        )
    for read in (
        _request("GET", f"{base}/{get}?key={{key}}"),
        _request("GET", f"{base}/{get}/{{key}}"),
        _request("POST", f"{base}/{get}", JSON_KEY, JSON_HEADER),
    ):
        yield Candidate(
            "http",
            _request("POST", f"{base}/{put}", JSON_PAIR, JSON_HEADER),
            read,
            tuple(
                request
                for word in removes
                for request in (
                    _request("POST", f"{base}/{word}", JSON_KEY, JSON_HEADER),
                    _request("DELETE", f"{base}/{word}?key={{key}}"),
                    _request("DELETE", f"{base}/{word}/{{key}}"),
                )
            ),
        )


def _request(
    method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
) -> Mapping[str, object]:
    request: dict[str, object] = {"method": method, "path": path}
    if headers:
        request["headers"] = headers
    if body:
        request["body"] = body
    return request
