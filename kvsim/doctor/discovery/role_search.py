"""Does a role make a difference? Starts a leader and a follower and asks both.

`roles` is claimed only where a follower acted or logged differently from a leader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.exchange import Exchange
from kvsim.doctor.discovery.command import (
    follower_forms,
    mentions_roles,
    rejected_options,
    spellings,
)
from kvsim.doctor.discovery.draft import Draft
from kvsim.doctor.discovery.measurements import LOG_LINES
from kvsim.doctor.discovery.probe import StartedDraft, started
from kvsim.doctor.discovery.protocol import LearnedProtocol, with_rules
from kvsim.doctor.discovery.refusal import read_refusal
from kvsim.doctor.discovery.reply_rules import Answer, learn_rules, misread
from kvsim.doctor.discovery.vocabulary import Vocabulary
from kvsim.errors import NodeFailed
from kvsim.process.executable import SpawnError
from kvsim.process.sockets import LOOPBACK
from kvsim.text import truncate
from kvsim.timeouts import Timeouts
from kvsim.waiting import Deadline

LEADER, FOLLOWER = "n1", "n2"
ROLE_KEY = "kvsim-init-role-key"
LEADERS_VALUE, FOLLOWERS_VALUE = "kvsim-init-from-leader", "kvsim-init-from-follower"
ROLE_WORDS = {
    "leader": re.compile(r"(?<!read-only, )leader|primary|master", re.IGNORECASE),
    "follower": re.compile(r"follower|replica(?!t)|slave|secondary|backup|standby", re.IGNORECASE),
}
# How many forms of a follower are tried, once there is one that refuses a write or only starts.
AFTER_REFUSAL, AFTER_START = 4, 12
# How long forms of a command, and those of a follower, are tried; no try is cut short.
SEARCH_S = 20.0
UNPROVEN = "does this refuse the write because the node is a follower? then call it read_only"


class RoleFindings(Struct, frozen=True):
    """What a leader and a follower of one form did. `score` ranks forms."""

    draft: Draft
    differs: bool = False
    refuses: bool = False
    names_leader: bool = False
    answers: tuple[Answer, ...] = ()

    @property
    def score(self) -> int:
        return 4 * self.refuses + 3 * self.differs + 2 * self.names_leader

    @property
    def complete(self) -> bool:
        return self.refuses and self.names_leader


class RoleSearch(Struct):
    """Tries followers of one leader's form until one refuses a write and names its leader."""

    learned: LearnedProtocol
    vocabulary: Vocabulary
    folder: Path
    timeouts: Timeouts
    starts: list[str] = field(default_factory=list)
    _rejected: set[str] = field(default_factory=set)

    def find(self) -> RoleFindings:
        """The best form of a follower. Without any difference, the draft claims no roles."""
        draft = self.learned.draft
        best = RoleFindings(draft)
        left = AFTER_START
        deadline = Deadline.after(SEARCH_S * self.timeouts.default_factor)
        for candidate in self._candidates(draft):
            try:
                with started(candidate, self.folder, self.timeouts, followers=1) as probe:
                    found = observe_roles(self.learned, candidate, probe)
            except (NodeFailed, SpawnError) as error:
                self._reject(candidate, str(error))
                if deadline.passed():
                    break
                continue
            if found.score > best.score or (not best.draft.form.follower and not best.differs):
                best = found
            if found.complete:
                break
            left = min(left - 1, AFTER_REFUSAL) if found.differs else left - 1
            if not left or deadline.passed():
                break
        return best

    def _candidates(self, draft: Draft) -> Iterator[Draft]:
        self._rejected = set()
        if not mentions_roles(self.vocabulary) and not draft.form.names_role:
            return
        for form in follower_forms(draft.form, self.vocabulary):
            if not self._rejected & spellings((*form.follower, *form.leader)):
                yield replace(draft, form=form)

    def _reject(self, candidate: Draft, message: str) -> None:
        form = candidate.form
        self._rejected |= rejected_options(message, (*form.leader, *form.follower))
        words = " ".join((*form.words, *form.follower))
        self.starts.append(f"a follower: {words}: {truncate(message.splitlines()[-1], 160)}")


def observe_roles(learned: LearnedProtocol, draft: Draft, probe: StartedDraft) -> RoleFindings:
    """Write on the leader and on the follower, and read both."""
    probe.ask(draft, LEADER, "put", ROLE_KEY, LEADERS_VALUE)
    draft = replace(draft, ready_s=max(draft.ready_s, probe.took_s))
    put = probe.ask(draft, FOLLOWER, "put", ROLE_KEY, FOLLOWERS_VALUE)
    leader_read = probe.ask(draft, LEADER, "get", ROLE_KEY)
    follower_read = probe.ask(draft, FOLLOWER, "get", ROLE_KEY)
    draft = _with_role_log(draft, probe)
    logs_differ = bool(draft.role_log)
    if put is None or put.failure:
        problem = "could not be sent" if put is None else put.problem or put.failure
        draft = draft.remark(f"a follower did not answer a put: {problem}")
        draft = draft.with_capability("roles") if logs_differ else draft
        return RoleFindings(draft, differs=logs_differ)
    shown = any(
        read is not None and FOLLOWERS_VALUE in read.text for read in (leader_read, follower_read)
    )
    if _is_success(learned, draft, Answer("put", "ok", put, ROLE_KEY, FOLLOWERS_VALUE), shown):
        return _accepting(draft, logs_differ, leader_read)
    return _refusing(learned, draft, probe, put, follower_read)


def _is_success(
    learned: LearnedProtocol, draft: Draft, answer: Answer, shown: bool = False
) -> bool:
    """Whether a follower's answer reads like the success of this verb on the leader.

    An HTTP status alone counts only where the written value was read back (`shown`).
    """
    exact = learn_rules([known for known in learned.answers if known.effect != "unknown"])
    rules = [exact.get(answer.verb, ()), *([draft.rules.get(answer.verb, ())] if shown else [])]
    return any(
        not misread(found, draft.common, [replace(answer, effect=effect)])
        for found in rules
        for effect in ("ok", "not_found")
    )


def _accepting(draft: Draft, logs_differ: bool, leader_read: Exchange | None) -> RoleFindings:
    """A follower that takes writes: it forwards them, or it keeps them to itself."""
    if leader_read is not None and FOLLOWERS_VALUE in leader_read.text:
        draft = draft.with_capability("forwards").remark(
            "a follower accepted a put and the leader has it: it forwards writes"
        )
        return RoleFindings(draft.with_capability("roles"), differs=True)
    if logs_differ:
        draft = draft.with_capability("roles").remark(
            "a follower accepted a put: the roles scenario will report it"
        )
    return RoleFindings(draft, differs=logs_differ)


def _refusing(
    learned: LearnedProtocol,
    draft: Draft,
    probe: StartedDraft,
    put: Exchange,
    follower_read: Exchange | None,
) -> RoleFindings:
    exchanges = [("put", put)]
    if "delete" in draft.requests:
        delete = probe.ask(draft, FOLLOWER, "delete", ROLE_KEY)
        if delete is not None and delete.failure is None:
            exchanges.append(("delete", delete))
    answers: list[Answer] = []
    wrong, truly_named = "", False
    for verb, exchange in exchanges:
        answer, is_true = _refusal_answer(learned, draft, probe, verb, exchange)
        if answer is None:
            draft = draft.remark(
                f"a follower refused a put and answered a {verb} with success; the roles scenario "
                "will report it"
            )
            continue
        answers.append(answer)
        truly_named = truly_named or is_true
        wrong = wrong or ("" if is_true else answer.leader)
    draft, reading = _read_answers(learned, draft, probe, follower_read)
    answers += reading
    found = with_rules(draft, [*learned.answers, *answers])
    draft = found.draft.with_capability("roles")
    if truly_named or wrong:
        draft = draft.with_capability("redirect")
    if wrong and not truly_named:
        draft = draft.remark(
            f"a follower's refusal names {wrong}, and the leader was at port {probe.port(LEADER)}"
        )
    if any(answer.effect == "refused" for answer in answers):
        text = next(answer for answer in answers if answer.effect == "refused").describe()
        draft = draft.ask_author("refused", f"a follower answers a put with {text}: {UNPROVEN}")
    return RoleFindings(
        draft,
        differs=True,
        refuses=all(answer.effect == "read_only" for answer in answers),
        names_leader=truly_named,
        answers=tuple(answers),
    )


def _refusal_answer(
    learned: LearnedProtocol, draft: Draft, probe: StartedDraft, verb: str, exchange: Exchange
) -> tuple[Answer | None, bool]:
    """A follower's answer to a write, and whether it names the true leader; None: it is success."""
    answer = Answer(verb, "ok", exchange, ROLE_KEY, FOLLOWERS_VALUE if verb == "put" else "")
    if _is_success(learned, draft, answer):
        return None, False
    text = exchange.text or answer.stderr
    refusal = read_refusal(
        text,
        leader=(str(probe.port(LEADER)), LEADER),
        status=exchange.status if draft.speak == "http" else None,
        headers=exchange.headers,
    )
    effect = "read_only" if refusal.says_so else "refused"
    answer = replace(answer, effect=effect, leader=refusal.leader, host=LOOPBACK)
    return answer, refusal.true_leader


def _read_answers(
    learned: LearnedProtocol, draft: Draft, probe: StartedDraft, read: Exchange | None
) -> tuple[Draft, list[Answer]]:
    """What a follower's read was: a value that it received, no such key, or a refusal."""
    if read is None or read.failure:
        return draft.remark("a follower did not answer a get"), []
    if LEADERS_VALUE in read.text:
        answer = Answer("get", "value", read, ROLE_KEY, LEADERS_VALUE)
        return draft.with_capability("replicates"), [answer]
    if FOLLOWERS_VALUE in read.text:
        return draft.remark(
            "a follower refused a put and stored its value; the roles scenario will report it"
        ), []
    refusal, _ = _refusal_answer(learned, draft, probe, "get", read)
    if refusal is None or refusal.effect != "read_only":
        return draft, []
    return draft.with_capability("leader_reads_only"), [refusal]


def _with_role_log(draft: Draft, probe: StartedDraft) -> Draft:
    """Each role's word in its node's log, unless the other node's log contains it too.

    A line that says that the node serves has to be in the follower's log, too.
    """
    lines = {
        "leader": probe.log_lines(LEADER, LOG_LINES),
        "follower": probe.log_lines(FOLLOWER, LOG_LINES),
    }
    words = {role: _first_match(ROLE_WORDS[role], lines[role]) for role in lines}
    other = {"leader": "follower", "follower": "leader"}
    distinct = {
        role: word
        for role, word in words.items()
        if word and not any(word in line for line in lines[other[role]])
    }
    if draft.ready_log:
        pattern = draft.ready_log.replace("{port}", str(probe.port(FOLLOWER)))
        if not any(re.search(pattern, line) for line in lines["follower"]):
            draft = replace(draft, ready_log="")
    return replace(draft, role_log=distinct)


def _first_match(pattern: re.Pattern[str], lines: list[str]) -> str:
    matches = (pattern.search(line) for line in lines)
    return next((match.group() for match in matches if match), "")
