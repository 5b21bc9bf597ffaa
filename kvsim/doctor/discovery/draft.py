"""What is known so far of a program that is being described, and the Program it makes.

Starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.config.program import (
    Log,
    Probe,
    Program,
    Ready,
    ReplyRule,
    Role,
    Speak,
    Stop,
    StopSequenceStep,
)
from kvsim.timeouts import PLAIN, Timeouts

RequestTemplate = str | tuple[str, ...] | Mapping[str, object]
READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0


class StartForm(Struct, frozen=True):
    """How a program takes its options: the words of every node, and those of each role.

    `role_words` are leader's and follower's word for `{role}`. `env` are variables of every node,
    `env_follower` those of a follower besides.
    """

    words: tuple[str, ...] = ()
    leader: tuple[str, ...] = ()
    follower: tuple[str, ...] = ()
    role_words: tuple[str, str] = ("leader", "follower")
    env: tuple[tuple[str, str], ...] = ()
    env_follower: tuple[tuple[str, str], ...] = ()

    @property
    def names_role(self) -> bool:
        """Whether a leader and a follower are started differently."""
        texts = (*self.words, *(text for _, text in self.env))
        return any("{role}" in text for text in texts) or bool(
            self.leader or self.follower or self.env_follower
        )

    def words_of(self, role: Role) -> tuple[str, ...]:
        """The words of a node of this role."""
        return (*self.words, *(self.leader if role is Role.LEADER else self.follower))

    def env_of(self, role: Role) -> dict[str, str]:
        """The variables of a node of this role."""
        return dict((*self.env, *(() if role is Role.LEADER else self.env_follower)))


class Draft(Struct, frozen=True):
    """An unfinished node.yaml.

    `rules` holds each verb's reply rules, `common` the rules of every verb. `remarks` are for the
    author: what could not be learned. `questions` are keys of node.yaml, with what the author has
    to answer at that line. `exits` are the statuses observed after a stop; `ready_s` is the
    longest time to be ready that was measured. `keeps_nothing`: neither a stop nor a kill left
    anything of what it had acknowledged.
    """

    name: str
    command: tuple[str, ...]
    form: StartForm = StartForm()
    ready_log: str = ""
    log_mode: str = "file"
    speak: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    requests: Mapping[str, RequestTemplate] = field(default_factory=dict)
    rules: Mapping[str, tuple[ReplyRule, ...]] = field(default_factory=dict)
    common: tuple[ReplyRule, ...] = ()
    role_log: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    exits: tuple[int, ...] = (0,)
    keeps_nothing: bool = False
    ready_s: float = 0.0
    remarks: tuple[str, ...] = ()
    questions: Mapping[str, str] = field(default_factory=dict)

    def remark(self, *texts: str) -> Draft:
        """The draft with more remarks."""
        return replace(self, remarks=tuple(dict.fromkeys((*self.remarks, *texts))))

    def ask_author(self, key: str, question: str) -> Draft:
        """The draft with a question to its author at one line of node.yaml."""
        return replace(self, questions={**self.questions, key: question})

    def with_capability(self, *names: str) -> Draft:
        return replace(self, capabilities=tuple(dict.fromkeys((*self.capabilities, *names))))

    @property
    def proves_refusals(self) -> bool:
        """Whether a follower's refusal was understood: it said that it takes no writes."""
        return any(rule.outcome == "read_only" for rule in self.common)


def program_of(draft: Draft, folder: Path, timeouts: Timeouts = PLAIN) -> Program:
    """The program as far as it is known; ready as soon as it listens."""
    form = draft.form
    return Program(
        name=draft.name,
        folder=folder,
        start={role: (*draft.command, *form.words_of(role)) for role in Role},
        role_words=dict(zip((Role.LEADER, Role.FOLLOWER), form.role_words, strict=True)),
        env={role: form.env_of(role) for role in Role},
        ready=Ready(
            all_of=(Probe("port", {"state": "owned"}),),
            within_s=READY_TIMEOUT_S * timeouts.default_factor,
        ),
        stop=Stop(
            steps=(
                StopSequenceStep(signal="TERM", wait_s=STOP_TIMEOUT_S * timeouts.default_factor),
            ),
            exits=frozenset(draft.exits),
        ),
        log=Log(draft.log_mode),
        speak=Speak(draft.speak or "lines", draft.settings),
        requests=draft.requests,
        replies={**draft.rules, "any": draft.common},
        capabilities=frozenset(draft.capabilities),
    )
