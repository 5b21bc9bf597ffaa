"""A load process from its parent's side: start it, hear how far it is, stop it, take its counts. Never talks to a node itself."""

from __future__ import annotations

import json
import pickle
import queue
import struct
import threading
from collections.abc import Callable
from typing import Any

from kvsim.errors import RunInvalid
from kvsim.limits import PLAIN, Limits, Own
from kvsim.load.plan import LoadPlan
from kvsim.process.companion import Companion, Silent

START_WITHIN_S = Own(15.0)
STOP_WITHIN_S = Own(60.0)
SILENT_S = 3600.0  # a load says something twice a second; when its process ends, it is heard at once
LEAVE_S = 2.0

Hear = Callable[[int], None]  # how many operations there are by now


class LoadProcess:
    """One load that runs beside the scenario. Close it, whatever happened."""

    def __init__(self, plan: LoadPlan, hear: Hear = lambda made: None, limits: Limits = PLAIN) -> None:
        """Start it and wait until it drives. `hear` is called in a thread of its own. Raises RunInvalid when it does not start."""
        self.plan = plan
        self.limits = limits
        self._hear = hear
        self._last: queue.Queue[dict[str, Any] | Silent] = queue.Queue()
        self._process = Companion("kvsim.load")
        self._ear = threading.Thread(target=self._listen, name=f"load {plan.name}", daemon=True)
        data = pickle.dumps(plan)
        self._process.send(struct.pack(">Q", len(data)) + data)
        try:
            self._process.line(limits.of(START_WITHIN_S))
        except Silent as silent:
            self.close()
            raise RunInvalid(f"load {plan.name} did not start: {silent}") from silent
        except BaseException:
            self.close()
            raise
        self._ear.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> dict[str, Any]:
        """Let it finish what is under way and save; operations by outcome. Raises RunInvalid when it broke."""
        self._process.say_no_more()
        return self.wait(self.limits.of(STOP_WITHIN_S))

    def wait(self, within_s: float) -> dict[str, Any]:
        """Wait for a load that ends by itself (`stop_after`). As `stop` otherwise."""
        try:
            last = self._last.get(timeout=within_s)
        except queue.Empty:
            last = Silent(False, "no word from its process in time")
        if isinstance(last, Silent):
            raise RunInvalid(f"load {self.plan.name} did not finish: {last}") from last
        self.close()
        return last

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._process.say_no_more()
        if self._ear.is_alive():
            self._ear.join(LEAVE_S)
        self._process.close()

    def _listen(self) -> None:
        """Its lines, one after another; the last one holds its counts."""
        while True:
            try:
                said = json.loads(self._process.line(SILENT_S))
            except Silent as silent:
                self._last.put(silent)
                return
            except (OSError, ValueError):  # closed under our hands
                self._last.put(Silent(True, "its process was ended"))
                return
            if "made" not in said:
                self._last.put(said)
                return
            self._hear(said["made"])
