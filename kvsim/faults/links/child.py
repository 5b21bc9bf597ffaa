"""The link proxies from their parent's side: start them, set rules, ask what they have seen. Carries no byte itself."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from kvsim.errors import RunInvalid
from kvsim.faults.links.pump import Road
from kvsim.faults.links.rules import Rule
from kvsim.waiting import Deadline

ROOT = Path(__file__).parents[3]
ANSWER_WITHIN_S = 10.0

Way = tuple[str, str]  # link, up or down


class LinkProxies:
    """A process with a proxy for each link. Use as a context manager."""

    def __init__(self, roads: Sequence[Road], seed: str) -> None:
        """Start it and wait until every road is open. Raises RunInvalid."""
        self.links = frozenset(road.link for road in roads)
        self._got = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kvsim.faults.links"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is kvsim's to handle
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ.get("PATH", os.defpath)},
        )
        plan = [[road.link, list(road.listen), list(road.target)] for road in roads]
        try:
            self._ask({"roads": plan, "seed": seed})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LinkProxies:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def set(self, rules: Mapping[Way, Rule], *, anew: bool = False) -> None:
        """Give ways their rules, all at once; with `anew` their links begin to count at that same moment."""
        told = [[*way, rule.to_json()] for way, rule in rules.items()]
        self._ask({"do": "set", "rules": told, "anew": anew})

    def seen(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """link → way → the fields of rules.Seen."""
        return self._ask({"do": "seen", "links": sorted(links)})

    def rules(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """link → way → the fields of rules.Rule that hold now."""
        return self._ask({"do": "rules", "links": sorted(links)})

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

    def _ask(self, order: Mapping[str, Any]) -> Any:
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            return self._answer(Deadline.after(ANSWER_WITHIN_S))
        except (OSError, ValueError) as error:
            raise RunInvalid(f"the link proxies have ended: {error}") from error

    def _answer(self, deadline: Deadline) -> Any:
        out = self._process.stdout.fileno()  # type: ignore[union-attr]
        while b"\n" not in self._got:
            ready, _, _ = select.select([out], [], [], deadline.left_s())
            chunk = os.read(out, 65536) if ready else b""
            if not chunk:
                raise RunInvalid(
                    "the link proxies do not answer" if not ready else "the link proxies have ended"
                )
            self._got += chunk
        line, _, self._got = self._got.partition(b"\n")
        return json.loads(line)
