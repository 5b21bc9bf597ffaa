"""Does an answer to a write refuse it because the node is a follower? Pure.

Only words that say so count, or an address of the cluster that it names. Any other answer may be an
error of another kind, and the user has to say what it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from msgspec import Struct

# Words with which stores say that this node takes no writes.
READ_ONLY_WORDS = (
    r"read[ _-]?only",
    r"\bno[tn][ _-]?(?:an?[ _-]|the[ _-])?(?:current[ _-])?(?:leader|primary|master|writable)",
    r"\b(?:is|am|as)[ _-]?(?:an?[ _-]|the[ _-])?(?:follower|replica|slave|secondary|backup|standby)"
    r"\b",
    r"\bfollower\b.*\b(?:refuse|reject|deni|cannot|can't|not)",
    r"\b(?:replica|slave|secondary|backup|standby)\b.*\b(?:refuse|reject|deni|cannot|can't|not)",
    r"\bonly\b.*\b(?:the |a )?(?:leader|primary|master)\b",
    r"\b(?:leader|primary|master) only\b",
    r"\b(?:leader|primary|master)\b\s*(?:is|=|:|at|on)",
    r"\b(?:ask|try|use|contact|to|see|goto)\b.{0,12}\b(?:leader|primary|master)\b",
    r"\bwrites?\b.*\b(?:not allowed|forbidden|not permitted|disabled|refused|rejected|denied)",
    r"\b(?:cannot|can't|may not|must not|not allowed to|refuse[sd]? to) write\b",
    r"\bredirect",
    r"\bmoved\b",
    r"^-?(?:MOVED|ASK|READONLY|NOTLEADER|NOT_LEADER|REDIRECT)\b",
)
SAYS_READ_ONLY = re.compile("|".join(READ_ONLY_WORDS), re.IGNORECASE)
# A refusal that names a port near one of these words names a leader by it.
NAMED_PORT = re.compile(
    r"(?:leader|primary|master|redirect|moved|port)\b[^\d\n]{0,40}?(?:(?:\d{1,3}\.){3}\d{1,3}|::1)?"
    r"[^\d\n]{0,3}(\d{2,5})\b|[\w.\]]:(\d{2,5})\b",
    re.IGNORECASE,
)
# The program puts a host before what it was given: it wanted a port, and has an address.
_HOST = r"(?:localhost|(?:\d{1,3}\.){3}\d{1,3})"
DOUBLED_HOST = re.compile(rf"{_HOST}:{_HOST}:\d+|https?://https?://\S+")
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308, 421})


class Refusal(Struct, frozen=True):
    """What a follower's answer says. `leader` is the port or name by which it names a leader.

    `true_leader`: that is the leader. `says_so`: it refuses because it is a follower.
    """

    says_so: bool
    leader: str = ""
    true_leader: bool = False


def read_refusal(
    text: str,
    *,
    leader: Collection[str],
    own: Collection[str] = (),
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    """What an answer to a write on a follower says.

    `leader` are the words that name the leader: its port, its name. `own` are those of the node
    itself.
    """
    location = {name.lower(): value for name, value in (headers or {}).items()}.get("location", "")
    whole = f"{text} {location}".strip()
    named = next((word for word in leader if _has_word(word, whole)), "")
    doubled = DOUBLED_HOST.search(whole)
    if doubled:
        return Refusal(says_so=True, leader=doubled.group())
    if named:
        return Refusal(says_so=True, leader=named, true_leader=True)
    redirected = status in REDIRECT_STATUSES
    says_so = redirected or SAYS_READ_ONLY.search(whole) is not None
    match = NAMED_PORT.search(whole) if says_so else None
    wrong = next((group for group in match.groups() if group), "") if match else ""
    return Refusal(says_so, wrong)


def _has_word(word: str, text: str) -> bool:
    return bool(word) and re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", text) is not None
