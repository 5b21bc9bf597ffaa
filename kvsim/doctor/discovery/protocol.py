"""Its requests and replies: tries what is usual, and keeps what stores a value and reads it back.

What a request did is read back. Its own answer alone shows nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.exchange import Exchange
from kvsim.client.json_path import read_json
from kvsim.client.outcomes import describe_reply
from kvsim.doctor.discovery.candidates import Candidate, client_candidates, socket_candidates
from kvsim.doctor.discovery.draft import Draft, RequestTemplate
from kvsim.doctor.discovery.probe import StartedDraft
from kvsim.doctor.discovery.reply_rules import JSON_STRING, Answer, learn_rules, misread
from kvsim.doctor.discovery.sniff import sniff
from kvsim.doctor.discovery.vocabulary import Vocabulary
from kvsim.process.sockets import LOOPBACK

LEADER = "n1"
KEY, MISSING_KEY, OTHER_KEY = "kvsim-init-key", "kvsim-init-missing", "kvsim-init-other"
# Its quotes, backslash and letters are written in another way in JSON.
ESCAPED_VALUE = 'kvsim-init "quoted" \\ \N{LATIN SMALL LETTER E WITH ACUTE}\N{FOX FACE}'
# These protocols say themselves where a value is.
WITH_OWN_VALUES = frozenset({"http", "resp"})
VALUE, SECOND_VALUE = "kvsim-init-value", "kvsim-init-second"
CLIENT_HINT = "give the client's command with {port} in it: --client './client -h {host} -p {port}'"
SOCKET_HINT = "does it have a command-line client? --client ./build/kv_client"
# A protocol with as many guesses that got no answer at all is not tried further.
SILENT_MAX = 5


class Attempts(Struct):
    """What was asked while the protocol was unknown, and what came back. For people."""

    lines: list[str] = field(default_factory=list)

    def add(self, what: str, exchange: Exchange | None) -> None:
        if exchange is None:
            answer = "could not be sent"
        elif exchange.failure:
            answer = exchange.problem or exchange.failure
        else:
            answer = describe_reply(exchange)
        self.lines.append(f"{what}  →  {answer[:160]}")


class LearnedProtocol(Struct, frozen=True):
    """A draft that can put and get, and the answers from which its rules were made."""

    draft: Draft
    answers: tuple[Answer, ...]


class NearestGuess(Struct, frozen=True):
    """The candidate that came closest to a protocol, with what its put and its get got."""

    candidate: Candidate
    score: int
    put: Exchange | None
    read: Exchange | None


class ProtocolSearch(Struct):
    """The search on one running leader. `nearest` is the best candidate that was not enough."""

    probe: StartedDraft
    vocabulary: Vocabulary
    attempts: Attempts
    nearest: NearestGuess | None = None
    _silence: dict[tuple[str, str], int] = field(default_factory=dict)

    def find(self, draft: Draft, client: tuple[str, ...]) -> LearnedProtocol | None:
        """A draft that stores a value and reads it back, or None."""
        for number, candidate in enumerate(self._candidates(client)):
            # A value of its own: an earlier candidate may have stored one that this one reads.
            value = f"{VALUE}-{number}"
            trial = replace(
                draft,
                speak=candidate.speak,
                settings=candidate.settings,
                requests={"put": candidate.put, "get": candidate.get},
            )
            put = self.probe.ask(trial, LEADER, "put", KEY, value, guess=True)
            answered = put is not None and put.failure is None
            read = self.probe.ask(trial, LEADER, "get", KEY, guess=True) if answered else None
            self.attempts.add(candidate.describe(), put)
            if answered and read is not None:
                self.attempts.add(f"    then {trial.speak}: get", read)
            self._count_silence(candidate, put)
            self._remember(candidate, put, read)
            if put is None or read is None or not _stored(candidate, put, read, value):
                continue
            missing = self.probe.ask(trial, LEADER, "get", MISSING_KEY)
            if missing is not None and VALUE not in missing.text:
                return self._learn(trial, candidate)
        return None

    def _candidates(self, client: tuple[str, ...]) -> Iterator[Candidate]:
        self._silence = {}
        if client:
            folder = self.probe.folder
            yield from client_candidates(
                client, self.vocabulary, lambda word: (folder / word).is_file()
            )
            return
        port = self.probe.port(LEADER)
        sniffed = sniff(LOOPBACK, port, self.probe.timeouts.default_factor)
        self.attempts.lines.append(f"a line of text: {sniffed.describe()}")
        for candidate in socket_candidates(sniffed, self.vocabulary):
            if self._silence.get(_family(candidate), 0) < SILENT_MAX:
                yield candidate

    def _count_silence(self, candidate: Candidate, put: Exchange | None) -> None:
        """Count the guesses of a family that were not answered in time; they take long."""
        if put is not None and put.failure == "timeout":
            family = _family(candidate)
            self._silence[family] = self._silence.get(family, 0) + 1

    def _remember(self, candidate: Candidate, put: Exchange | None, read: Exchange | None) -> None:
        exchanges = [e for e in (put, read) if e is not None and e.failure is None]
        kind = sum(1 + (e.status in (None, 0, 200, 201, 204)) for e in exchanges)
        errors = sum(_is_error(exchange) for exchange in exchanges)
        score = 2 * kind - errors
        if self.nearest is None or score > self.nearest.score:
            self.nearest = NearestGuess(candidate, score, put, read)

    # --- a protocol that works ------------------------------------------------------------------

    def _learn(self, trial: Draft, candidate: Candidate) -> LearnedProtocol:
        self.probe.ask(trial, LEADER, "put", KEY, VALUE)
        draft = _with_value_location(trial, self.probe)
        answers: list[Answer] = []

        def ask(verb: str, key: str, value: str = "") -> Exchange | None:
            exchange = self.probe.ask(draft, LEADER, verb, key, value)
            return exchange if exchange is not None and exchange.failure is None else None

        def note(verb: str, effect: str, exchange: Exchange | None, key: str, value: str) -> None:
            if exchange is not None:
                answers.append(Answer(verb, effect, exchange, key, value))

        missing = ask("get", MISSING_KEY)
        note("get", "not_found", missing, MISSING_KEY, "")
        stored = VALUE
        for value in (VALUE, SECOND_VALUE, SECOND_VALUE):
            put, read = ask("put", KEY, value), ask("get", KEY)
            if read is not None and value in read.text:
                stored = value
                note("put", "ok", put, KEY, value)
                note("get", "value", read, KEY, value)
        if stored == VALUE:
            draft = draft.remark("a second put of a key did not change its value")
        new_put, new_read = ask("put", OTHER_KEY, VALUE), ask("get", OTHER_KEY)
        if new_read is not None and VALUE in new_read.text:
            note("put", "ok", new_put, OTHER_KEY, VALUE)
            note("get", "value", new_read, OTHER_KEY, VALUE)
        draft, found = self._learn_delete(draft, candidate, missing, stored)
        answers += found
        note("get", "not_found", ask("get", MISSING_KEY), MISSING_KEY, "")
        answers += self._unknown_answers(draft, candidate)
        return with_rules(draft, self._with_escapes(draft, answers))

    def _with_escapes(self, draft: Draft, answers: list[Answer]) -> list[Answer]:
        """The answers, with those to a value that JSON writes in another way, where that tells how
        values are written."""
        put = self.probe.ask(draft, LEADER, "put", OTHER_KEY, ESCAPED_VALUE)
        read = self.probe.ask(draft, LEADER, "get", OTHER_KEY)
        if put is None or put.failure or read is None or read.failure:
            return answers
        if draft.speak in WITH_OWN_VALUES or ESCAPED_VALUE in read.text:
            return answers
        if ESCAPED_VALUE not in map(read_json, JSON_STRING.findall(read.text)):
            # It changed the value, or refused it: what that is, its scenarios judge.
            return answers
        more = Answer("get", "value", read, OTHER_KEY, ESCAPED_VALUE)
        return [replace(answer, is_json=True) for answer in [*answers, more]]

    def _learn_delete(
        self, draft: Draft, candidate: Candidate, missing: Exchange | None, stored: str
    ) -> tuple[Draft, list[Answer]]:
        """The first delete after which the key is gone, by a read."""
        last: Exchange | None = None
        for template in candidate.deletes:
            trial = replace(draft, requests={**draft.requests, "delete": template})
            first = self.probe.ask(trial, LEADER, "delete", KEY)
            read = self.probe.ask(trial, LEADER, "get", KEY)
            self.attempts.add(f"{draft.speak}: delete", first)
            last = first or last
            gone = read is not None and read.failure is None and stored not in read.text
            if first is None or first.failure or not gone or read is None:
                continue
            if missing is not None and not _same_but_numbers(missing, MISSING_KEY, read, KEY):
                continue
            answers = [
                Answer("delete", "ok", first, KEY, stored),
                Answer("get", "not_found", read, KEY, ""),
            ]
            second = self.probe.ask(trial, LEADER, "delete", OTHER_KEY)
            if second is not None and not second.failure:
                answers.append(Answer("delete", "ok", second, OTHER_KEY, VALUE))
            for _ in range(2):
                again = self.probe.ask(trial, LEADER, "delete", KEY)
                if again is not None and not again.failure and not _alike(first, KEY, again, KEY):
                    answers.append(Answer("delete", "not_found", again, KEY, ""))
                # A number in the answer may count the writes.
                self.probe.ask(trial, LEADER, "put", KEY, VALUE)
                self.probe.ask(trial, LEADER, "delete", KEY)
            return trial, answers
        got = "it was not answered" if last is None or last.failure else describe_reply(last)
        problem = f"no usual delete removed a key, so none is described (the last one: {got})"
        return draft.remark(problem), []

    def _unknown_answers(self, draft: Draft, candidate: Candidate) -> list[Answer]:
        """What it answers to a request that it cannot know: no rule may take it for success."""
        if candidate.unknown is None:
            return []
        trial = replace(draft, requests={**draft.requests, "unknown": candidate.unknown})
        exchange = self.probe.ask(trial, LEADER, "unknown", KEY, guess=True)
        if exchange is None or exchange.failure or not (exchange.text or exchange.stderr):
            return []
        return [Answer("unknown", "unknown", exchange, KEY, "")]


def with_rules(draft: Draft, answers: list[Answer]) -> LearnedProtocol:
    """The draft with rules that give each answer what its request did, as far as that goes."""
    kept = _without_contradictions(answers)
    learned = learn_rules(kept, http=draft.speak == "http")
    common = learned.get("any", ())
    rules = {verb: found for verb, found in learned.items() if verb in draft.requests}
    left = [
        answer
        for answer in kept
        if answer.verb in rules and misread(rules[answer.verb], common, [answer])
    ]
    for answer in left:
        draft = draft.remark(
            f"the rules of {answer.verb} misread {answer.describe()}, which was {answer.effect}"
        )
    return LearnedProtocol(replace(draft, rules=rules, common=common), tuple(answers))


def _without_contradictions(answers: list[Answer]) -> list[Answer]:
    """Without an answer to an unknown request that is also the answer to a known one."""
    known = {(a.text, a.exchange.status) for a in answers if a.effect != "unknown"}
    return [a for a in answers if a.effect != "unknown" or (a.text, a.exchange.status) not in known]


def _family(candidate: Candidate) -> tuple[str, str]:
    return candidate.speak, json.dumps(candidate.settings, sort_keys=True, default=str)


def _stored(candidate: Candidate, put: Exchange, read: Exchange, value: str) -> bool:
    """Whether the value was read back, and neither an echo nor the body around it.

    The body may be inside a JSON text of the answer.
    """
    if put.failure or read.failure or value not in read.text or put.text == read.text:
        return False
    body = candidate.put.get("body", "") if isinstance(candidate.put, Mapping) else ""
    sent = str(body).replace("{value.json}", json.dumps(value))
    kept_whole = sent in read.text or json.dumps(sent)[1:-1] in read.text
    return "{value.json}" not in str(body) or not kept_whole


def _alike(first: Exchange, first_key: str, second: Exchange, second_key: str) -> bool:
    """Whether two answers to a delete say the same, apart from keys and from a rising number."""
    if first.text != second.text and re.findall(r"\d+", second.text)[:1] == ["0"]:
        # The number of keys that were deleted.
        return False
    return _same_but_numbers(first, first_key, second, second_key)


def _same_but_numbers(first: Exchange, first_key: str, second: Exchange, second_key: str) -> bool:
    texts = [
        re.sub(r"\d+", "0", exchange.text.replace(key, ""))
        for exchange, key in ((first, first_key), (second, second_key))
    ]
    return first.status == second.status and texts[0] == texts[1]


def _is_error(exchange: Exchange) -> bool:
    return "err" in exchange.text[:40].lower() or (exchange.status or 0) >= 400


def _with_value_location(draft: Draft, probe: StartedDraft) -> Draft:
    """Over HTTP: where in a JSON body the value is."""
    read = probe.ask(draft, LEADER, "get", KEY)
    if draft.speak != "http" or read is None:
        return draft
    try:
        path = _json_path(json.loads(read.text))
    except ValueError:
        return draft
    get = draft.requests["get"]
    if not path or not isinstance(get, Mapping):
        return draft
    request: RequestTemplate = {**get, "value": {"json": f"$.{path}"}}
    return replace(draft, requests={**draft.requests, "get": request})


def _json_path(data: object, prefix: str = "") -> str:
    """The path to the stored value in parsed JSON; empty when it is not there by itself."""
    if data == VALUE:
        return prefix
    if isinstance(data, dict):
        children = list(data.items())
    elif isinstance(data, list):
        children = [(str(index), child) for index, child in enumerate(data)]
    else:
        return ""
    paths = (_json_path(child, f"{prefix}.{name}".lstrip(".")) for name, child in children)
    return next((path for path in paths if path), "")
