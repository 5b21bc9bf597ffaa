"""A campaign's one SQLite file: its settings, and each result once. Knows SQL only."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import kvsim
from kvsim.errors import RunInvalid, UsageError
from kvsim.trials.trial import Ending, Trial, TrialResult

FORMAT = "2"
SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    number   INTEGER PRIMARY KEY,           -- in the order of arrival
    key      TEXT NOT NULL UNIQUE,          -- of the trial: equal for equal command lines
    scenario TEXT NOT NULL, program TEXT NOT NULL, faults TEXT NOT NULL, seed INTEGER NOT NULL,
    ending   TEXT NOT NULL, failed_at TEXT NOT NULL, symptom TEXT NOT NULL,
    digest   TEXT NOT NULL,                 -- SHA-256 of the recorded history
    took_s   REAL NOT NULL, worker TEXT NOT NULL, at TEXT NOT NULL,
    trial    TEXT NOT NULL, result TEXT NOT NULL,   -- JSON
    archive  BLOB                           -- the run directory as .tar.gz, where it is kept
);
CREATE INDEX IF NOT EXISTS runs_by_ending ON runs (ending);
"""


class Database:
    """An existing or a new file. Raises UsageError when it is not a campaign's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._create()
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._check_format()
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as a campaign's database: {error}") from error

    def _create(self) -> None:
        self._db.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
        for name, value in (("format", FORMAT), ("kvsim", kvsim.__version__)):
            self._db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))

    def _check_format(self) -> None:
        """Raises UsageError for a database of another format; sqlite3.Error for no campaign's."""
        stated = self.setting("format")
        if stated != FORMAT:
            version = self.setting("kvsim") or "of no known version"
            self._db.close()
            raise UsageError(
                f"{self.path}: a campaign's database of format {stated or 'without a number'}, "
                f"written by kvsim {version}; this kvsim reads format {FORMAT}: use that version "
                "for it"
            )
        # Raises for columns that are missing.
        self._db.execute("SELECT ending, failed_at, symptom, trial, result, archive FROM runs")

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """Store settings that must not change. Raises UsageError when one has changed."""
        for name, value in settings.items():
            self._db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))
            stored = self.setting(name)
            if stored != value:
                raise UsageError(
                    f"{self.path}: this campaign was begun with another {name} ({stored}, now "
                    f"{value}); its results would not belong together: use another --out"
                )

    def set_setting(self, name: str, value: str) -> None:
        """Store a setting that may change from call to call."""
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def setting(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def has(self, trial: Trial) -> bool:
        return bool(self._db.execute("SELECT 1 FROM runs WHERE key = ?", (trial.key,)).fetchone())

    def add(self, trial: Trial, result: TrialResult, worker: str, archive: bytes | None) -> bool:
        """Record a result; false when the trial has one already.

        Raises RunInvalid when it cannot be written.
        """
        row = {
            "key": trial.key,
            **{name: trial.labels.get(name, "") for name in ("scenario", "program", "faults")},
            "seed": trial.seed,
            "ending": str(result.ending),
            "failed_at": result.failed_at,
            "symptom": result.symptom,
            "digest": result.digest,
            "took_s": result.took_s,
            "worker": worker,
            "at": time.strftime("%Y-%m-%d %H:%M:%S"),
            "trial": json.dumps(trial.to_json()),
            "result": json.dumps(result.to_json()),
            "archive": archive,
        }
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        statement = f"INSERT OR IGNORE INTO runs ({columns}) VALUES ({values})"
        try:
            added = self._db.execute(statement, row)
        except sqlite3.Error as error:
            raise RunInvalid(f"a result could not be recorded in {self.path}: {error}") from error
        return added.rowcount == 1

    def counts(self) -> dict[Ending, int]:
        """How often each ending came."""
        rows = self._db.execute("SELECT ending, count(*) FROM runs GROUP BY ending")
        return {self._ending(name): count for name, count in rows}

    def counts_by(self, column: str) -> dict[str, dict[Ending, int]]:
        """The same for each value of `scenario`, `program` or `faults`.

        A run with two faults counts for both.
        """
        found: dict[str, dict[Ending, int]] = {}
        query = (
            f"SELECT {column}, ending, count(*) FROM runs GROUP BY {column}, ending "
            f"ORDER BY {column}"
        )
        for labels, name, count in self._db.execute(query):
            for label in labels.split(", "):
                counts, ending = found.setdefault(label, {}), self._ending(name)
                counts[ending] = counts.get(ending, 0) + count
        return found

    def pairs(self, *endings: Ending) -> Iterator[tuple[int, Trial, TrialResult]]:
        """(number, trial, result) of the runs with these endings."""
        placeholders = ",".join("?" * len(endings))
        query = (
            f"SELECT number, trial, result FROM runs WHERE ending IN ({placeholders}) "
            "ORDER BY number"
        )
        for number, trial, result in self._db.execute(query, [str(ending) for ending in endings]):
            yield number, *self._pair(number, trial, result)

    def _pair(self, number: int, trial: str, result: str) -> tuple[Trial, TrialResult]:
        """Raises UsageError for a row that was edited."""
        try:
            return Trial.from_json(json.loads(trial)), TrialResult.from_json(json.loads(result))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{self.path}: run {number} is damaged or was edited ({error!r})"
            ) from error

    def _ending(self, name: object) -> Ending:
        try:
            return Ending(str(name))
        except ValueError as error:
            raise UsageError(
                f"{self.path}: is damaged or was edited: no run ends with {name!r}"
            ) from error

    def archive(self, number: int) -> bytes | None:
        """The packed run directory of one run. Raises UsageError when there is no such run."""
        row = self._db.execute("SELECT archive FROM runs WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise UsageError(f"{self.path}: there is no run {number}")
        if row[0] is not None and not isinstance(row[0], bytes):
            raise UsageError(f"{self.path}: run {number} is damaged or was edited")
        return row[0]

    def times(self) -> list[float]:
        """How long each run took, in seconds, the shortest first."""
        return [row[0] for row in self._db.execute("SELECT took_s FROM runs ORDER BY took_s")]

    def period(self) -> tuple[str, str]:
        """When the first and the last result came; empty texts before the first."""
        begun, ended = self._db.execute("SELECT min(at), max(at) FROM runs").fetchone()
        return str(begun or ""), str(ended or "")

    def workers(self) -> dict[str, int]:
        """Worker → runs it made."""
        return dict(
            self._db.execute("SELECT worker, count(*) FROM runs GROUP BY worker ORDER BY worker")
        )

    def close(self) -> None:
        """Close; everything is in the one file then."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
