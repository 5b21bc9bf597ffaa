"""Forgeries of a recorded run: edits of one file, with and without redone digests, and consistent
edits of several files, all made without kvsim's own code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvsim.history.journal import CHAIN_START, broken_links, last_link

JOURNAL, META, PROOF, PROOF_TEXT = "history.jsonl", "meta.json", "proof.json", "proof.txt"
# These hold the run packed, so that a forger rather removes them.
REPORTS = ("report.html", "trace.json")


@dataclass(frozen=True)
class Forgery:
    """`forge` edits a run directory; `named` must be in a line of the result."""

    name: str
    forge: Callable[[Path], object]
    named: str = ""


def redo_digests(run: Path) -> None:
    """Write the digests of all files as they are now into proof.json, if it is there."""
    if not (run / PROOF).is_file():
        return
    proof = json.loads((run / PROOF).read_text())
    for name in proof["files"]:
        if (run / name).is_file():
            data = (run / name).read_bytes()
            digest = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            proof["files"][name] = digest
    (run / PROOF).write_text(json.dumps(proof, indent=1) + "\n")


def then_redo(edit: Callable[[Path], object]) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        edit(run)
        redo_digests(run)

    return forge


# --- any file -----------------------------------------------------------------------------------


def edit_bytes(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def forge(run: Path) -> None:
        before = (run / name).read_bytes()
        after = edit(before)
        assert after != before, "a forgery changes something"
        (run / name).write_bytes(after)

    return forge


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "one bit": flip,
    "emptied": lambda data: b"",
    "the end cut": lambda data: data[: -len(data) // 3],
    "a line more": lambda data: data + b"one more line\n",
    "the first line removed": lambda data: data.partition(b"\n")[2],
}


def of_any_file(run: Path) -> Iterator[Forgery]:
    for name in json.loads((run / PROOF).read_text())["files"]:
        for what, edit in EDITS.items():
            if edit((run / name).read_bytes()) == (run / name).read_bytes():
                continue
            forge = edit_bytes(name, edit)
            yield Forgery(f"{name}: {what}", forge, name)
            yield Forgery(f"{name}: {what}, digest redone", then_redo(forge), name)
        yield Forgery(f"{name}: removed", lambda run, name=name: (run / name).unlink(), name)
    for name in (PROOF, PROOF_TEXT, *REPORTS):
        yield Forgery(f"{name}: removed", lambda run, name=name: (run / name).unlink(), name)
    for name in (PROOF_TEXT, *REPORTS):
        for what in ("one bit", "a line more"):
            yield Forgery(f"{name}: {what}", edit_bytes(name, EDITS[what]), name)


# --- the journal --------------------------------------------------------------------------------


Event = dict[str, Any]


def edit_events(edit: Callable[[list[Event]], object]) -> Callable[[Path], None]:
    """Edit the events; links of the chain stay as they are, and digests are redone."""

    def forge(run: Path) -> None:
        lines = (run / JOURNAL).read_text().splitlines()
        events = [json.loads(line) for line in lines]
        edit(events)
        after = [json.dumps(event, separators=(",", ":")) for event in events]
        assert after != lines, "a forgery changes something"
        (run / JOURNAL).write_text("".join(f"{line}\n" for line in after))
        redo_digests(run)

    return forge


def first(events: list[Event], kind: str) -> Event:
    return next(event for event in events if event["event"] == kind)


def set_field(kind: str, value: object, *path: str) -> Callable[[list[Event]], None]:
    def edit(events: list[Event]) -> None:
        target: Any = first(events, kind)
        for key in path[:-1]:
            target = target[key]
        before = target[path[-1]]
        target[path[-1]] = other(value) if before == value else value

    return edit


FIELDS: tuple[tuple[str, object, tuple[str, ...]], ...] = (
    ("spawn", 4711, ("pid",)),
    ("spawn", ["true"], ("argv",)),
    ("ready", "ready now", ("probes", "log", "text")),
    ("owner", 4711, ("pid",)),
    ("owner", True, ("foreign",)),
    ("operation", "ERR read-only\n", ("received",)),
    ("operation", "PUT x y\n", ("sent",)),
    ("operation", "n3", ("node",)),
    ("operation", 0.000001, ("invoked_s",)),
    ("operation", {"kind": "unknown", "reason": "timeout"}, ("outcome",)),
    ("role", "follower", ("role",)),
    ("role", {"term": "99"}, ("fields",)),
    ("step", "put: {at: leader}", ("text",)),
    ("step", ["n2"], ("targets",)),
    ("step", {"kind": "served"}, ("expectation",)),
    ("step_end", "fail", ("result",)),
    ("step_end", "because", ("why",)),
    ("fault_plan", False, ("required",)),
    ("fault_evidence", False, ("took_effect",)),
    ("fault_evidence", "looks good", ("message",)),
    ("fault_end", False, ("recovered",)),
    ("load_start", {"total": 0}, ("minima",)),
    ("load_stop", 9_999_999, ("counts", "ok")),
    ("signal", "SIGKILL", ("signal",)),
    ("exit", 3, ("status",)),
    ("exit", False, ("requested",)),
    ("stopped", ["pid 7 sleep"], ("leftovers",)),
    ("limit", 0.0, ("used_s",)),
    ("log", 0, ("size",)),
    ("storm", "9.9", ("id",)),
    ("end", "stopped early: by me", ("how",)),
)


def of_the_journal(run: Path) -> Iterator[Forgery]:
    for kind, value, path in FIELDS:
        forge = edit_events(set_field(kind, value, *path))
        yield Forgery(f"journal: {kind}.{'.'.join(path)}", forge, JOURNAL)
    kinds = dict.fromkeys(
        json.loads(line)["event"] for line in (run / JOURNAL).read_text().splitlines()
    )
    for kind in kinds:

        def remove(events: list[Event], kind: str = kind) -> None:
            events[:] = [event for event in events if event["event"] != kind]

        yield Forgery(f"journal: no {kind}", edit_events(remove), JOURNAL)
    yield Forgery(
        "journal: an event twice", edit_events(lambda events: events.insert(9, events[8]))
    )
    yield Forgery("journal: reversed", edit_events(lambda events: events.reverse()))
    yield Forgery(
        "journal: two swapped",
        edit_events(lambda events: events.insert(5, events.pop(9))),
    )


def with_a_chain(
    edit: Callable[[list[Event]], object], *, pages: bool = True
) -> Callable[[Path], None]:
    """Edit the events; every link of the chain and every digest is redone. With `pages`, the last
    link is replaced in the pages that state it.
    """

    def forge(run: Path) -> None:
        before = last_link(run / JOURNAL)
        edit_events(edit)(run)
        events = [json.loads(line) for line in (run / JOURNAL).read_text().splitlines()]
        link, lines = "", []
        for event in events:
            event.pop("chain", None)
            body = json.dumps(event, separators=(",", ":"))
            digest = hashlib.blake2b((link or CHAIN_START).encode() + body.encode(), digest_size=16)
            link = digest.hexdigest()
            lines.append(f'{body[:-1]},"chain":"{link}"}}\n')
        (run / JOURNAL).write_text("".join(lines))
        for name in (PROOF_TEXT, *REPORTS) if pages else ():
            text = (run / name).read_text()
            assert before in text, f"{name} states the digest of the record"
            (run / name).write_text(text.replace(before, link))
        redo_digests(run)
        assert not broken_links(run / JOURNAL), "the chain is whole again"

    return forge


def of_a_chain(run: Path) -> Iterator[Forgery]:
    """The pages are regenerated by such a forger, so that the journal has to be named."""
    edits = {
        "a role": set_field("role", "follower", "role"),
        "the fields of a role": set_field("role", {"term": "99"}, "fields"),
        "how a role is known": set_field("role", "as configured", "how"),
        "a role without a request": lambda events: events.insert(9, first(events, "role")),
        "a start that was not": set_field("usage", 7, "incarnation"),
        "digests twice": lambda events: events.insert(-1, first(events, "digests")),
    }
    for what, edit in edits.items():
        yield Forgery(f"chain redone: {what}", with_a_chain(edit), JOURNAL)


# --- meta.json and proof.json -------------------------------------------------------------------


def edit_json(name: str, edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        content = json.loads((run / name).read_text())
        edit(content)
        (run / name).write_text(json.dumps(content, indent=1) + "\n")

    return forge


def other(value: object) -> object:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return value[1:] if value else ["x"]
    return {} if value else {"x": "x"}


def of_the_objects(run: Path) -> Iterator[Forgery]:
    for name, redo in ((META, then_redo), (PROOF, lambda forge: forge)):
        for key, value in json.loads((run / name).read_text()).items():
            if (name, key) == (PROOF, "files"):
                continue
            changed = {key: other(value)}
            change = edit_json(name, lambda content, changed=changed: content.update(changed))
            yield Forgery(f"{name}: other {key}", redo(change), name)
            remove = edit_json(name, lambda content, key=key: content.pop(key))
            yield Forgery(f"{name}: no {key}", redo(remove), name)
        for text in ("[]", "{}", "null", "[" * 100_000, "{'x': 1}", '{"a": NaN}', ""):
            change = lambda run, name=name, text=text: (run / name).write_text(text)  # noqa: E731
            if name == PROOF:
                yield Forgery(f"{name}: {text[:9]}", change, name)
            else:
                yield Forgery(f"{name}: {text[:9]}, digest redone", then_redo(change), name)
    yield Forgery(
        "meta.json: no check is asked for",
        then_redo(edit_json(META, lambda meta: meta.update(checks=[]))),
        META,
    )
    for name in ("nodes/n1/2.log", "loads/more.history", "crash.txt"):
        yield Forgery(f"{name}: added", lambda run, name=name: (run / name).write_text("x\n"), name)
    yield Forgery(
        "proof.json: no digests", edit_json(PROOF, lambda proof: proof.update(files={})), META
    )
    yield Forgery(
        "proof.json: a key twice",
        edit_bytes(PROOF, lambda data: data.replace(b"{", b'{"verdict": "fail",', 1)),
        "`verdict` twice",
    )
    yield Forgery(
        "proof.json: the same on one line",
        lambda run: (run / PROOF).write_text(json.dumps(json.loads((run / PROOF).read_text()))),
        PROOF,
    )


# --- several files ------------------------------------------------------------------------------


def replace_everywhere(old: str, new: str) -> Callable[[Path], None]:
    """Replace a text in every file of text, remove the reports, and redo the digests."""

    def forge(run: Path) -> None:
        found = False
        for path in sorted(run.rglob("*")):
            if path.is_file() and path.suffix in {".json", ".jsonl", ".yaml", ".txt", ".log"}:
                text = path.read_text(errors="surrogateescape")
                found = found or old in text
                path.write_text(text.replace(old, new), errors="surrogateescape")
        assert found, f"{old} is in no file"
        for name in REPORTS:
            (run / name).unlink()
        redo_digests(run)

    return forge


def of_several_files(run: Path) -> Iterator[Forgery]:
    meta = json.loads((run / META).read_text())
    pid = json.loads((run / PROOF).read_text())["nodes"][0]["pid"]
    texts = {
        "the title": (meta["title"], "Nothing was wrong at all"),
        "the seed": (str(meta["seed"]), str(meta["seed"] + 1)),
        "the time": (meta["when"], "2001-01-01 00:00:00 +0000"),
        "a value": (meta["variables"]["v"], "v-0000000000000000"),
        "a process": (str(pid), "4711"),
        "the program": ("kvstore", "my-own-store"),
        "a check": ("leader_accepts_writes", "exits_clean"),
        "a reply": ("OK\\n", "FINE\\n"),
    }
    for what, (old, new) in texts.items():
        yield Forgery(f"everywhere: {what}", replace_everywhere(old, new))

    def easier(run: Path) -> None:
        """The scenario asks for less, and so does the record of the step."""
        text = (run / "scenario.yaml").read_text()
        (run / "scenario.yaml").write_text(text.replace("expect: ok", "expect: served"))
        journal = (run / JOURNAL).read_text()
        for old, new in (("expect: ok", "expect: served"), ('{"kind":"ok"}', '{"kind":"served"}')):
            journal = journal.replace(old, new)
        (run / JOURNAL).write_text(journal)
        redo_digests(run)

    def shorter(run: Path) -> None:
        """A step less, in the scenario and in the journal."""
        lines = (run / "scenario.yaml").read_text().splitlines()
        kept = [line for line in lines if "last: step" not in line]
        assert kept != lines
        (run / "scenario.yaml").write_text("\n".join(kept) + "\n")
        edit_events(
            lambda events: events.__setitem__(
                slice(None), [event for event in events if event.get("id") != "2.1"]
            )
        )(run)

    def exchanged_roles(run: Path) -> None:
        for name in ("cluster.yaml", META):
            text = (run / name).read_text()
            for old, new in (("leader", "@"), ("follower", "leader"), ("@", "follower")):
                text = text.replace(old, new)
            (run / name).write_text(text)
        redo_digests(run)

    def passed(run: Path) -> None:
        """The verdict, wherever a person looks."""
        for name in (PROOF, PROOF_TEXT, "report.html"):
            text = (run / name).read_text()
            (run / name).write_text(text.replace("PASS", "FAIL").replace('"pass"', '"fail"'))

    yield Forgery("the scenario and its steps ask for less", easier, "scenario.yaml")
    yield Forgery("a step less", shorter, JOURNAL)
    yield Forgery("exchanged roles", exchanged_roles, META)
    yield Forgery("another verdict", passed, PROOF)
    for name in ("scenario.yaml", "cluster.yaml"):
        yield Forgery(
            f"{name}: of another run",
            then_redo(lambda run, name=name: (run / name).write_text(OTHERS[name])),
            name,
        )


OTHERS = {
    "scenario.yaml": "scenario: other\ncluster: ./cluster.yaml\nsteps: [get: {at: n1, key: k}]\n",
    "cluster.yaml": "cluster: other\nprogram: kvstore\nnodes: {n1: {role: leader, port: 9001}}\n",
}


def forgeries(run: Path) -> list[Forgery]:
    """All forgeries of a run."""
    return [
        *of_any_file(run),
        *of_the_journal(run),
        *of_a_chain(run),
        *of_the_objects(run),
        *of_several_files(run),
    ]
