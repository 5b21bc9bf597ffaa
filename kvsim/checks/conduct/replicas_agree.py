"""Nodes that are at the same index of the same epoch hold the same state, by their digests."""

from __future__ import annotations

from collections import Counter, defaultdict

from kvsim.checks.verdict import Finding
from kvsim.history.record import Record

Place = tuple[int, str]  # applied index, epoch
TIMES = 2  # a follower that is about to discard a tail may be seen once in between


def judge(record: Record) -> tuple[int, list[Finding]]:
    """Judges programs that replicate and tell index and digest: every place at which several nodes were seen. A node counts
    at a place once it was seen there twice with the same digest."""
    seen: dict[Place, Counter[tuple[str, str]]] = defaultdict(Counter)
    step_of: dict[Place, str] = {}
    for event in record.of_kind("role"):
        fields = event["fields"]
        index, digest = fields.get("applied") or fields.get("index") or "", fields.get("digest")
        if "replicates" in record.capabilities(event["node"]) and index.isdecimal() and digest:
            place = (int(index), fields.get("epoch", ""))
            seen[place][event["node"], digest] += 1
            step_of[place] = event["step"]
    judged, findings = 0, []
    for place, counts in sorted(seen.items()):
        settled = [pair for pair, times in counts.items() if times >= TIMES]
        judged += len({node for node, _ in settled}) > 1
        findings += _disagree(place, settled, step_of[place])
    return judged, findings


def _disagree(place: Place, settled: list[tuple[str, str]], step: str) -> list[Finding]:
    if len({digest for _, digest in settled}) < 2:
        return []
    told = ", ".join(f"{node} {digest}" for node, digest in sorted(settled))
    index, epoch = place
    return [
        Finding(f"at index {index}{f' of epoch {epoch}' if epoch else ''} the states differ: {told}", step)
    ]
