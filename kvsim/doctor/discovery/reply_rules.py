"""Reply rules from answers whose effect is known: pure.

A rule is made from all answers of one verb with one effect. All rules are then tried against every
answer. Where one matches an answer with another effect, rules are put into another order, and
refusals and errors get a rule of that verb before the one that is too wide.

The rule for a follower's refusal is not exact to the letter, where its words say that it is one:
`ERR read-only, leader is on port 1` and `err: read only; leader is on port: 1` mean the same. It is
exact where that would give another answer the wrong effect.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kvsim.client.exchange import Exchange
from kvsim.client.json_path import read_json
from kvsim.client.outcomes import classify, describe_reply
from kvsim.config.program import ReplyRule
from kvsim.doctor.discovery.refusal import SAYS_READ_ONLY
from kvsim.history.outcome import Outcome, OutcomeKind, Reason

Rules = Mapping[str, tuple[ReplyRule, ...]]
# A text as a pattern.
Literal = Callable[[str], str]

# Placeholders in an answer's text. They are in no reply that is text.
VALUE_MARK, KEY_MARK, HOST_MARK, NUMBER_MARK = "\ue000", "\ue001", "\ue002", "\ue003"
PORT_MARK, ID_MARK = "\ue004", "\ue005"
PATH_MARK, JSON_MARK = "\ue006", "\ue007"
MARK = re.compile("([\ue000-\ue007])")
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# What the two kinds of values are in a pattern.
VALUE_PATTERNS = {VALUE_MARK: ("value", ".*"), JSON_MARK: ("value_json", JSON_STRING.pattern)}
LEADER_MARK = re.compile(f"[{PORT_MARK}{ID_MARK}]")
# After a host: an address has numbers and points, too.
PORT_END = r"(?![.:]?\d)"
LEADER_PORT, LEADER_ID = r"(?P<leader_port>\d+)", r"(?P<leader_id>[\w.-]+)"
# What stands for a placeholder, the first time and later: a group may have its name only once.
PATTERNS = {
    KEY_MARK: (r"\S+?", r"\S+?"),
    HOST_MARK: (r"[\w.:-]+?", r"[\w.:-]+?"),
    NUMBER_MARK: (r"\d+", r"\d+"),
    PATH_MARK: (r"\S+", r"\S+"),
    PORT_MARK: (LEADER_PORT, r"\d+"),
    ID_MARK: (LEADER_ID, r"[\w.-]+"),
}
# A file of this run, such as a data directory.
LONG_PATH = re.compile(r"(?<![\w/])/[\w.-]+/[\w.-]+/[\w./-]*[\w-]")
# A time, a digest or an address: another one in every answer.
LONG_NUMBER = re.compile(r"\d{6,}")
# Characters that a person cannot read, without those that `re.escape` writes as two.
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
# Between two words, and how many such characters a tolerant pattern accepts in the place of some.
BETWEEN_WORDS = re.compile(r"([\W_]+)")
BETWEEN_MAX = 4
# More different answers than this become one pattern of what they have in common.
ALTERNATIVES_MAX = 4
ERROR_WORD = re.compile(r"-?(?:err|error|fail|failed|failure|invalid|bad|unknown)\b", re.IGNORECASE)
# The effects that any verb can have.
COMMON = ("read_only", "refused", "not_ready", "unknown")


class Answer(Struct, frozen=True):
    """One answer and what its request did, which is a key of `replies` in node.yaml.

    `key` and `value` are those of the request (for `get`: the value that was stored). `leader` is
    the word in the answer that names a leader. `host` is the address of all nodes. `is_json`: the
    value is written as a JSON string.
    """

    verb: str
    effect: str
    exchange: Exchange
    key: str = ""
    value: str = ""
    leader: str = ""
    host: str = ""
    is_json: bool = False

    @property
    def text(self) -> str:
        """What the pattern is for: the reply, or what the client wrote to stderr instead."""
        return self.exchange.text or self.stderr

    @property
    def stderr(self) -> str:
        return self.exchange.stderr.decode("utf-8", "surrogateescape").strip()

    def describe(self) -> str:
        return describe_reply(self.exchange)


def escape(text: str) -> str:
    """A text as a pattern that matches it, with few escapes so that a person can read it."""
    readable = re.sub(r"\\([ \-#&~\"'<>@,:;%!=/])", r"\1", re.escape(text))
    readable = readable.replace("\\\n", r"\n").replace("\\\r", r"\r").replace("\\\t", r"\t")
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", readable)


def escape_words(text: str) -> str:
    """A pattern for a text with other punctuation between its words."""
    pieces = BETWEEN_WORDS.split(text)
    return "".join(
        _between(
            piece,
            at_edge=not (pieces[index - 1] and pieces[index + 1]),
            whole=piece == text,
        )
        if index % 2
        else escape(piece)
        for index, piece in enumerate(pieces)
    )


def _between(run: str, *, at_edge: bool, whole: bool) -> str:
    """A pattern for what is between two words. `at_edge`: it begins or ends the text; `whole`: it
    is the text, between two groups.
    """
    if run.strip() and not at_edge and not re.search(r"\s", run):
        return r"[\W_]?"
    least = int(" " in run or whole)
    return rf"\W{{{least},{max(BETWEEN_MAX, len(run) + 1)}}}"


def learn_rules(answers: Sequence[Answer], *, http: bool = False) -> Rules:
    """Rules by verb, and those of every verb under `any`, for all `answers`."""
    rules = _learn_rules(answers, http, tolerant=True)
    if any(misread(rules.get(answer.verb, ()), rules["any"], [answer]) for answer in answers):
        return _learn_rules(answers, http, tolerant=False)
    return rules


def _learn_rules(answers: Sequence[Answer], http: bool, *, tolerant: bool) -> Rules:
    common = tuple(
        rule_for(group, http=False, tolerant=tolerant)
        for effect, group in _by_effect(answer for answer in answers if answer.effect in COMMON)
        if effect != "unknown"
    )
    verbs = dict.fromkeys(answer.verb for answer in answers if answer.effect not in COMMON)
    rules: dict[str, tuple[ReplyRule, ...]] = {}
    for verb in verbs:
        own = [answer for answer in answers if answer.verb == verb]
        others = [
            replace(answer, verb=verb)
            for answer in answers
            if answer.verb != verb and answer.effect in COMMON
        ]
        rules[verb] = _verb_rules([*own, *others], common, http)
    return {**rules, "any": common}


def _verb_rules(
    answers: Sequence[Answer], common: tuple[ReplyRule, ...], http: bool
) -> tuple[ReplyRule, ...]:
    """The rules of one verb, in an order in which each answer gets its effect."""
    groups = _by_effect(answers)
    own = [(effect, group) for effect, group in groups if effect not in COMMON]
    shared = [(effect, group) for effect, group in groups if effect in COMMON]
    short = [rule_for(group, http=http) for _, group in own]
    exact = [rule_for(group, http=False) for _, group in own]
    guards = [_guard(effect, group, common) for effect, group in shared]
    candidates = [short, exact] if http else [exact]
    for rules in [*candidates, *([*guards, *rules] for rules in candidates)]:
        for order in itertools.permutations(rules):
            if not misread(order, common, answers):
                return order
    return (*guards, *exact)


def _guard(effect: str, group: Sequence[Answer], common: tuple[ReplyRule, ...]) -> ReplyRule:
    """A rule of this verb for an effect that any verb can have."""
    known = next((rule for rule in common if rule.outcome == effect), None)
    if known is not None:
        return known
    words = {match.group() for answer in group if (match := ERROR_WORD.match(answer.text))}
    if effect == "unknown" and words and all(ERROR_WORD.match(answer.text) for answer in group):
        return ReplyRule("unknown", "^" + _either(sorted(map(escape, words))) + r"\b")
    return rule_for(group, http=False)


def misread(
    rules: Sequence[ReplyRule], common: Sequence[ReplyRule], answers: Iterable[Answer]
) -> list[Answer]:
    """The answers to which the rules give another effect, or another value, than was observed."""
    return [
        answer
        for answer in answers
        if not _fits(answer, classify((*rules, *common), answer.exchange)[0])
    ]


def _fits(answer: Answer, outcome: Outcome) -> bool:
    if answer.effect == "value":
        return effect_of(outcome) == "value" and outcome.value == answer.value
    return effect_of(outcome) == answer.effect


def effect_of(outcome: Outcome) -> str:
    """An outcome as a key of `replies`."""
    if outcome.kind is OutcomeKind.REFUSED:
        names = {Reason.READ_ONLY: "read_only", Reason.NOT_READY: "not_ready"}
        return names.get(outcome.reason, "refused") if outcome.reason else "refused"
    if outcome.kind is OutcomeKind.UNKNOWN:
        return "unknown"
    if outcome.found is False:
        return "not_found"
    return "ok" if outcome.value is None else "value"


def _by_effect(answers: Iterable[Answer]) -> list[tuple[str, list[Answer]]]:
    groups: dict[str, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(answer.effect, []).append(answer)
    return list(groups.items())


def rule_for(group: Sequence[Answer], *, http: bool, tolerant: bool = False) -> ReplyRule:
    """A rule for answers with one effect. `http`: by their HTTP status alone. `tolerant`: not exact
    to the letter, where the words of each answer refuse because the node is a follower.
    """
    effect = group[0].effect
    statuses = frozenset(a.exchange.status for a in group if a.exchange.status is not None)
    if http and statuses:
        return ReplyRule(effect, None, statuses)
    located = [_location(answer) for answer in group if answer.leader]
    if located and all(located) and not any(answer.leader in answer.text for answer in group):
        return ReplyRule(effect, None, statuses, {"location": located[0]})
    if effect == "value" and all(a.exchange.extracted.get("value") == a.value for a in group):
        # The protocol itself finds the value in the reply.
        return ReplyRule(effect, None, statuses)
    says_so = effect == "read_only" and all(SAYS_READ_ONLY.search(each.text) for each in group)
    pattern = _pattern(group, escape_words if tolerant and says_so else escape)
    if any(answer.exchange.text for answer in group):
        return ReplyRule(effect, pattern, statuses)
    if any(answer.stderr for answer in group):
        return ReplyRule(effect, "^$", statuses, stderr=re.sub(r"\$$", r"\\s*$", pattern))
    # A client that fails without a word: another answer with its status says why.
    silent = r"^\s*$" if statuses and 0 not in statuses else None
    return ReplyRule(effect, pattern, statuses, stderr=silent)


def _location(answer: Answer) -> str:
    """The pattern for a redirect's header that names the leader; empty without one."""
    headers = {name.lower(): value for name, value in answer.exchange.headers.items()}
    location = headers.get("location", "")
    return rf":{LEADER_PORT}\b" if f":{answer.leader}" in location else ""


def _pattern(group: Sequence[Answer], literal: Literal = escape) -> str:
    """One pattern that matches the text of each answer. `literal` writes what is between groups."""
    texts = list(dict.fromkeys(map(_marked, group)))
    if len(texts) > 1 and len({re.sub(r"\d+", "0", text) for text in texts}) == 1:
        # They differ in their numbers only.
        texts = ["".join(_joined_numbers(texts))]
    effect, head = group[0].effect, _common_head(texts)
    named = next((text for text in texts if LEADER_MARK.search(text)), None)
    if len(texts) > 1 and effect == "value":
        return _around_value(texts)
    begin, end = ("^", "$") if literal is escape else ("(?i)^", rf"\W{{0,{BETWEEN_MAX}}}$")
    if len(texts) > 1 and named is not None:
        up_to_leader = _up_to_leader(named.removeprefix(head), literal)
        return begin + _with_groups(head, effect, literal) + up_to_leader
    if len(texts) > ALTERNATIVES_MAX:
        return begin + _with_groups(head, effect, literal)
    return begin + _either([_with_groups(text, effect, literal) for text in texts]) + end


def _around_value(texts: Sequence[str]) -> str:
    """One pattern for values with different texts around them: a group has its name only once."""
    mark = JSON_MARK if JSON_MARK in texts[0] else VALUE_MARK
    group, pattern = VALUE_PATTERNS[mark]
    parts = [text.partition(mark) for text in texts]
    heads = list(dict.fromkeys(_with_groups(head, "") for head, _, _ in parts))
    tails = list(dict.fromkeys(_with_groups(tail, "") for _, _, tail in parts))
    lazy = "?" if len(tails) > 1 and mark == VALUE_MARK else ""
    return f"^{_either(heads)}(?P<{group}>{pattern}{lazy}){_either(tails)}$"


def _up_to_leader(text: str, literal: Literal) -> str:
    """A pattern for the leader in a text, with a few letters before it, wherever it stands."""
    match = LEADER_MARK.search(text)
    return "" if match is None else ".*?" + _with_groups(text[: match.end()][-8:], "", literal)


def _joined_numbers(texts: Sequence[str]) -> Iterator[str]:
    """The parts of the texts; a number that differs becomes a placeholder for any number."""
    rows = [re.split(r"(\d+)", text) for text in texts]
    for parts in zip(*rows, strict=True):
        yield parts[0] if len(set(parts)) == 1 else NUMBER_MARK


def _marked(answer: Answer) -> str:
    """The text with placeholders for what is another in the next request."""
    text = answer.text
    if answer.is_json:
        text = JSON_STRING.sub(
            lambda found: JSON_MARK if read_json(found[0]) == answer.value else found[0], text
        )
    leader = PORT_MARK if answer.leader.isdigit() else ID_MARK
    for word, mark in (
        (answer.value, VALUE_MARK),
        (answer.key, KEY_MARK),
        (answer.leader, leader),
        (answer.host, HOST_MARK),
    ):
        if word:
            whole = re.escape(word) if mark in (VALUE_MARK, KEY_MARK) else _whole_word(word)
            text = re.sub(whole, mark, text)
    return LONG_NUMBER.sub(NUMBER_MARK, LONG_PATH.sub(PATH_MARK, text))


def _whole_word(word: str) -> str:
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def _with_groups(text: str, effect: str, literal: Literal = escape) -> str:
    """A marked text as a pattern: the value and the leader are groups, once each."""
    parts: list[str] = []
    used: set[str] = set()
    for part in MARK.split(text):
        if part in VALUE_PATTERNS:
            group, pattern = VALUE_PATTERNS[part]
            is_group = effect == "value" and not used & VALUE_PATTERNS.keys()
            parts.append(f"(?P<{group}>{pattern})" if is_group else pattern)
        elif part in PATTERNS:
            parts.append(PATTERNS[part][part in used])
            if part == PORT_MARK and HOST_MARK in used:
                parts.append(PORT_END)
        else:
            parts.append(literal(part))
        used.add(part)
    return "".join(parts)


def _common_head(texts: Sequence[str]) -> str:
    head = texts[0]
    for text in texts[1:]:
        while not text.startswith(head):
            head = head[:-1]
    return head


def _either(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
