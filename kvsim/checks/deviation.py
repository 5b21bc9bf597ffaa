"""Where a run first went wrong, read from its proof.json. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GOOD = {"pass", "skipped"}


def first_deviation(proof: Mapping[str, Any]) -> tuple[str, str]:
    """Where a run first went wrong and its message; both empty for a pass.

    That is its first step that did not pass, else its first check.
    """
    if proof["verdict"] == "pass":
        return "", ""
    for step in proof["steps"]:
        if step["result"] not in GOOD:
            words = " ".join(filter(None, (step["verb"], step["at"] and f"at {step['at']}")))
            return f"step {step['id']} ({words})", step["why"] or "the run ended inside this step"
    for check in proof["checks"]:
        if check["findings"] and check["verdict"] != "pass":
            return f"check {check['name']}", check["findings"][0]["message"]
    if proof.get("unproven"):
        return "unproven", proof["unproven"]
    return "the run", proof["ended"]
