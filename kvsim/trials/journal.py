"""Results as they come, one JSON line each, so that whatever ends the work leaves what was done."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from kvsim.errors import RunInvalid
from kvsim.trials.trial import Result, Trial


class ResultFile:
    """`results.jsonl`, appended to and flushed a line at a time. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> ResultFile:
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def write(self, trial: Trial, result: Result) -> None:
        """Raises RunInvalid when the disk does not take it."""
        try:
            self._file.write(json.dumps({"trial": trial.to_json(), "result": result.to_json()}) + "\n")
            self._file.flush()
        except OSError as error:
            raise RunInvalid(f"a result could not be recorded in {self.path}: {error.strerror}") from error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
