"""A campaign's one SQLite file: what was planned, and each result once. Knows SQL; knows nothing of workers."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kvsim.errors import RunInvalid, UsageError
from kvsim.trials.trial import Ending, Result, Trial

FORMAT = "1"
SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    number   INTEGER PRIMARY KEY,           -- in the order in which they came back
    key      TEXT NOT NULL UNIQUE,          -- the trial; what makes a run one that was already made
    scenario TEXT NOT NULL, program TEXT NOT NULL, faults TEXT NOT NULL, seed INTEGER NOT NULL,
    ending   TEXT NOT NULL, place TEXT NOT NULL, what TEXT NOT NULL,
    digest   TEXT NOT NULL,                 -- SHA-256 of the recorded history
    took_s   REAL NOT NULL, worker TEXT NOT NULL, at TEXT NOT NULL,
    trial    TEXT NOT NULL, result TEXT NOT NULL,   -- JSON
    archive  BLOB                           -- the run directory as .tar.gz, of runs that did not pass
);
CREATE INDEX IF NOT EXISTS runs_by_ending ON runs (ending);
"""


class Database:
    """Open or new. Raises UsageError when it is no campaign's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + SCHEMA)
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as a campaign's database: {error}") from error

    def agree(self, about: Mapping[str, str]) -> None:
        """Note what the campaign is, or hold it against what was noted. Raises UsageError where a value has changed."""
        for name, value in {"format": FORMAT, **about}.items():
            self._db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
            noted = self.noted(name)
            if noted != value:
                raise UsageError(
                    f"{self.path}: this campaign was begun with another {name} ({noted}, now {value}); "
                    "its results would not belong together: use another --out"
                )

    def note(self, name: str, value: str) -> None:
        """Note what may change from call to call."""
        self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def has(self, trial: Trial) -> bool:
        return bool(self._db.execute("SELECT 1 FROM runs WHERE key = ?", (trial.key,)).fetchone())

    def add(self, trial: Trial, result: Result, worker: str, archive: bytes | None) -> bool:
        """Record a result; false when that trial had one already. Raises RunInvalid when it cannot be written."""
        about = [trial.about.get(name, "") for name in ("scenario", "program", "faults")]
        values = (trial.key, *about, trial.seed, str(result.ending), result.place, result.what, result.digest)
        more = (result.took_s, worker, time.strftime("%Y-%m-%d %H:%M:%S"))
        plain = (json.dumps(trial.to_json()), json.dumps(result.to_json()), archive)
        try:
            added = self._db.execute(
                "INSERT OR IGNORE INTO runs (key, scenario, program, faults, seed, ending, place, what, digest, took_s,"
                " worker, at, trial, result, archive) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (*values, *more, *plain),
            )
        except sqlite3.Error as error:
            raise RunInvalid(f"a result could not be recorded in {self.path}: {error}") from error
        return added.rowcount == 1

    def counts(self) -> dict[Ending, int]:
        """How often each ending came."""
        rows = self._db.execute("SELECT ending, count(*) FROM runs GROUP BY ending")
        return {Ending(word): count for word, count in rows}

    def counts_by(self, column: str) -> dict[str, dict[Ending, int]]:
        """The same for each value of `scenario`, `program` or `faults`; a run with two faults counts under both."""
        found: dict[str, dict[Ending, int]] = {}
        query = f"SELECT {column}, ending, count(*) FROM runs GROUP BY {column}, ending ORDER BY {column}"
        for value, word, count in self._db.execute(query):
            for part in value.split(", "):
                counts = found.setdefault(part, {})
                counts[Ending(word)] = counts.get(Ending(word), 0) + count
        return found

    def pairs(self, *endings: Ending) -> Iterator[tuple[int, Trial, Result]]:
        """(number, trial, result) of the runs that ended so."""
        marks = ",".join("?" * len(endings))
        query = f"SELECT number, trial, result FROM runs WHERE ending IN ({marks}) ORDER BY number"
        for number, trial, result in self._db.execute(query, [str(ending) for ending in endings]):
            yield number, Trial.from_json(json.loads(trial)), Result.from_json(json.loads(result))

    def archive(self, number: int) -> bytes | None:
        """The packed run directory of one run. Raises UsageError when there is no such run."""
        row = self._db.execute("SELECT archive FROM runs WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise UsageError(f"{self.path}: there is no run {number}")
        return row[0]

    def times(self) -> list[float]:
        """How long each run took, in seconds."""
        return [row[0] for row in self._db.execute("SELECT took_s FROM runs ORDER BY took_s")]

    def workers(self) -> dict[str, int]:
        """Worker → runs it made."""
        return dict(self._db.execute("SELECT worker, count(*) FROM runs GROUP BY worker ORDER BY worker"))

    def close(self) -> None:
        """Everything into the one file."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
