"""A load process from its parent's side: start it, stop it, take its counts. Never talks to a node itself."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kvsim.errors import RunInvalid
from kvsim.load.plan import LoadPlan
from kvsim.waiting import Deadline

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 15.0
STOP_WITHIN_S = 60.0


class LoadProcess:
    """One load that runs beside the scenario. Close it, whatever happened."""

    def __init__(self, plan: LoadPlan) -> None:
        """Start it and wait until it drives. Raises RunInvalid when it does not start."""
        self.plan = plan
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kvsim.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is kvsim's to handle
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)},
        )
        data = pickle.dumps(plan)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(struct.pack(">Q", len(data)) + data)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
        self._line(START_WITHIN_S, "start")

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> dict[str, Any]:
        """Let it finish what is under way and save; operations by outcome. Raises RunInvalid when it broke."""
        self._process.stdin.close()  # type: ignore[union-attr]
        counts = self._line(STOP_WITHIN_S, "finish")
        self.close()
        return counts

    def wait(self, within_s: float) -> dict[str, Any]:
        """Wait for a load that ends by itself (`stop_after`)."""
        counts = self._line(within_s, "finish")
        self.close()
        return counts

    def close(self) -> None:
        """End it. Safe to repeat."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _line(self, within_s: float, what: str) -> dict[str, Any]:
        deadline, got = Deadline.after(within_s), b""
        out = self._process.stdout.fileno()  # type: ignore[union-attr]
        while not got.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], deadline.left_s())
            chunk = os.read(out, 65536) if ready else b""
            if not chunk:
                raise RunInvalid(f"load {self.plan.name} did not {what}: {self._why(bool(ready))}")
            got += chunk
        return json.loads(got)

    def _why(self, ended: bool) -> str:
        if not ended:
            return "no word from its process in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with status {self._process.returncode}; it said: {said[-1] if said else 'nothing'}"
