"""A load process from its parent's side: start it, stop it, take its counts. Never talks to a node itself."""

from __future__ import annotations

import json
import pickle
import struct
from typing import Any

from kvsim.errors import RunInvalid
from kvsim.load.plan import LoadPlan
from kvsim.process.companion import Companion, Silent

START_WITHIN_S = 15.0
STOP_WITHIN_S = 60.0


class LoadProcess:
    """One load that runs beside the scenario. Close it, whatever happened."""

    def __init__(self, plan: LoadPlan) -> None:
        """Start it and wait until it drives. Raises RunInvalid when it does not start."""
        self.plan = plan
        self._process = Companion("kvsim.load")
        data = pickle.dumps(plan)
        self._process.send(struct.pack(">Q", len(data)) + data)
        try:
            self._line(START_WITHIN_S, "start")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> dict[str, Any]:
        """Let it finish what is under way and save; operations by outcome. Raises RunInvalid when it broke."""
        self._process.say_no_more()
        return self.wait(STOP_WITHIN_S)

    def wait(self, within_s: float) -> dict[str, Any]:
        """Wait for a load that ends by itself (`stop_after`). As `stop` otherwise."""
        counts = self._line(within_s, "finish")
        self.close()
        return counts

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._process.close()

    def _line(self, within_s: float, what: str) -> dict[str, Any]:
        try:
            return json.loads(self._process.line(within_s))
        except Silent as silent:
            raise RunInvalid(f"load {self.plan.name} did not {what}: {silent}") from silent
