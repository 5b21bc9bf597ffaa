"""Discover a store: how it starts, its requests and replies, its refusals, and what it keeps.

The order of the questions; each is asked in its own module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from kvsim.doctor.discovery.command import (
    SERVING,
    anchored,
    as_written,
    leader_forms,
    mentions_roles,
    rejected_options,
    rejects_role_word,
    spellings,
    subcommands,
    with_role_words,
)
from kvsim.doctor.discovery.draft import Draft, StartForm
from kvsim.doctor.discovery.measurements import learn_log, measure_restart
from kvsim.doctor.discovery.probe import started
from kvsim.doctor.discovery.protocol import (
    CLIENT_HINT,
    SOCKET_HINT,
    Attempts,
    LearnedProtocol,
    ProtocolSearch,
)
from kvsim.doctor.discovery.refusal import read_refusal
from kvsim.doctor.discovery.role_search import SEARCH_S, RoleFindings, RoleSearch
from kvsim.doctor.discovery.tryout import End, StartTry, TryFolder
from kvsim.doctor.discovery.vocabulary import Vocabulary, read_vocabulary
from kvsim.errors import NodeFailed, UsageError
from kvsim.timeouts import PLAIN, Timeouts
from kvsim.waiting import Deadline

TRIES_MAX = 80
INTERPRETERS = re.compile(
    r"(?:java|node|deno|bun|ruby|perl|php|lua|sh|bash|dash|dotnet|env|python[\d.]*|pypy\d?)"
)
WITH_VALUE = ("-cp", "-classpath", "--class-path")
NOT_STARTED = (
    "it did not start with any of the usual options\n"
    "give its command with {port}, {data_dir} and {role} where they belong: "
    "--program './store -p {port} …'"
)
NO_ROLES = (
    "no difference between a leader and a follower was observed, so `roles` is not claimed: "
    "write in `start` (or `start_leader`, `start_follower`) how a node gets its role"
)
ITS_OPTIONS = "; its own text has {options}"


class NotDescribed(UsageError):
    """The store could not be described. `draft` is the nearest guess; `tried` is for people."""

    def __init__(self, message: str, draft: Draft, tried: tuple[str, ...]) -> None:
        self.draft, self.tried = draft, tried
        super().__init__(message)


@dataclass
class Discovery:
    """The state of one discovery. `tried` are lines for people."""

    program: tuple[str, ...]
    client: tuple[str, ...]
    folder: Path
    timeouts: Timeouts = PLAIN
    vocabulary: Vocabulary = field(init=False)
    client_vocabulary: Vocabulary = field(init=False)
    attempts: Attempts = field(default_factory=Attempts)
    tries: list[StartTry] = field(default_factory=list)
    follower_tries: list[str] = field(default_factory=list)
    nearest: tuple[Draft, ProtocolSearch] | None = None
    rejected_roles: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.vocabulary = read_vocabulary(self.program, self.folder)
        # A client's options are none of the program's.
        self.client_vocabulary = read_vocabulary(self.client, self.folder)

    def run(self) -> Draft:
        """Raises NotDescribed, SpawnError."""
        written = as_written(self.program)
        command = anchored(written[0] if written else self.program, self.folder)
        draft = Draft(_name_of(self.program), command)
        with TryFolder(self.folder, self.timeouts) as try_folder:
            self.tries = try_folder.tries
            best = self._search(draft, written[1] if written else None, try_folder)
        if best is None:
            raise self._not_described(draft)
        if best.differs:
            return best.draft
        known = [name for name in self.vocabulary.options("role") if name in self.vocabulary.flags]
        hint = ITS_OPTIONS.format(options=", ".join(known)) if known else ""
        return best.draft.remark(NO_ROLES + hint)

    def _search(
        self, draft: Draft, form: StartForm | None, try_folder: TryFolder
    ) -> RoleFindings | None:
        """The best of the forms that start and can be asked."""
        best: RoleFindings | None = None
        deadline = Deadline.after(SEARCH_S * self.timeouts.default_factor)
        for candidate, took_s in self._starting(draft, form, try_folder):
            learned = self._learn_alone(replace(candidate, ready_s=took_s))
            if learned is None:
                if self._refuses_as_leader(candidate):
                    self.rejected_roles.add(candidate.form.role_words[0])
                    continue
                if any(word.startswith("-") for word in candidate.form.words):
                    # It took the options, so other forms would not change its protocol.
                    break
                continue
            search = RoleSearch(learned, self.vocabulary, self.folder, self.timeouts)
            found = search.find()
            self.follower_tries += search.starts
            if best is None or found.score > best.score:
                best = found
            if found.differs or not mentions_roles(self.vocabulary) or deadline.passed():
                break
        return best

    def _refuses_as_leader(self, draft: Draft) -> bool:
        """Whether a node with the leader's word took no writes: another word makes a leader."""
        form = draft.form
        if self.nearest is None or self.nearest[0].form != form or not form.names_role:
            return False
        guess = self.nearest[1].nearest
        put = guess.put if guess else None
        return put is not None and read_refusal(put.text, leader=()).says_so

    def _starting(
        self, draft: Draft, form: StartForm | None, try_folder: TryFolder
    ) -> Iterator[tuple[Draft, float]]:
        """The drafts that listen on their port when they are started as a leader alone."""
        rejected: set[str] = set()
        asked_help = ignores_options = False
        wanted = set(SERVING) - set(draft.command)
        deadline = Deadline.after(SEARCH_S * self.timeouts.default_factor)
        pending = [form] if form else leader_forms(self.vocabulary)
        done: set[StartForm] = set()
        while pending and not deadline.passed() and len(done) < TRIES_MAX:
            candidate = with_role_words(pending.pop(0), self.vocabulary, self.rejected_roles)
            if candidate is None or candidate in done:
                continue
            if rejected & spellings(candidate.words):
                continue
            if not asked_help and not form and not self.vocabulary.flags:
                asked_help = True
                self.vocabulary.add(try_folder.help_text(draft))
                pending = leader_forms(self.vocabulary)
                continue
            done.add(candidate)
            trial = replace(draft, form=candidate)
            tried = try_folder.start(trial)
            if tried.end is End.LISTENS:
                yield trial, tried.took_s
                if candidate.role_words[0] in self.rejected_roles:
                    pending.insert(0, candidate)
                continue
            serving = next((word for word in subcommands(tried.output) if word in wanted), "")
            if serving and not form:
                # Its options are those of a subcommand.
                inner = replace(draft, command=(*draft.command, serving))
                self.vocabulary.add(try_folder.help_text(inner))
                yield from self._starting(inner, form, try_folder)
                return
            rejected |= rejected_options(tried.output, candidate.words)
            ignored = tried.end is not End.ENDED and not ignores_options
            ignores_options = ignores_options or ignored
            if (self.vocabulary.add(tried.output) or ignored) and not form:
                # Its message may name its options.
                pending = leader_forms(self.vocabulary, ignores_options=ignores_options)
            if rejects_role_word(candidate, tried.output):
                self.rejected_roles.add(candidate.role_words[0])
                pending.insert(0, candidate)

    def _learn_alone(self, draft: Draft) -> LearnedProtocol | None:
        """Everything that a leader alone shows; None when no protocol was found."""
        try:
            with started(draft, self.folder, self.timeouts) as probe:
                vocabulary = self.client_vocabulary if self.client else self.vocabulary
                search = ProtocolSearch(probe, vocabulary, self.attempts)
                learned = search.find(draft, self.client)
                if learned is None:
                    self.nearest = (draft, search)
                    return None
                measured, observed = measure_restart(learned.draft, probe)
                port = probe.port("n1")
                measured = replace(measured, ready_s=max(draft.ready_s, probe.took_s))
        except NodeFailed as error:
            self.attempts.lines.append(str(error).splitlines()[0])
            return None
        measured = learn_log(measured, observed, port, self.folder, self.timeouts)
        return replace(learned, draft=measured)

    def tried(self) -> tuple[str, ...]:
        """What was tried and what came back, for people."""
        starts = [f"start  {tried.describe()}" for tried in self.tries]
        return (*starts, *self.attempts.lines, *self.follower_tries)

    def _not_described(self, draft: Draft) -> NotDescribed:
        listening = [tried for tried in self.tries if tried.end is End.LISTENS]
        if not listening or self.nearest is None:
            draft = replace(draft, form=StartForm(("--port={port}", "--data-dir={data_dir}")))
            return NotDescribed(NOT_STARTED, draft, self.tried())
        guess, search = self.nearest
        if search.nearest is not None:
            found = search.nearest.candidate
            requests = {"put": found.put, "get": found.get}
            guess = replace(guess, speak=found.speak, settings=found.settings, requests=requests)
        hint = CLIENT_HINT if self.client else SOCKET_HINT
        message = f"none of the usual requests stored a value and read it back; {hint}"
        return NotDescribed(message, guess, self.tried())


def _name_of(program: tuple[str, ...]) -> str:
    """The name of the file that is the program: the last one of `node store.js`."""
    words = list(program)
    if INTERPRETERS.fullmatch(Path(words[0]).name) and len(words) > 1:
        words.pop(0)
    while words and (words[0].startswith("-") or "{" in words[0]):
        del words[: 2 if words[0] in WITH_VALUE else 1]
    return Path(words[0]).stem if words else Path(program[0]).stem


def discover(
    program: tuple[str, ...], client: tuple[str, ...], folder: Path, timeouts: Timeouts = PLAIN
) -> Draft:
    """Everything that can be learned of a store by trying it.

    `program` and `client` are commands, relative to `folder`; an empty `client` is none. Raises
    NotDescribed (a UsageError), SpawnError.
    """
    return Discovery(program, client, folder, timeouts).run()
