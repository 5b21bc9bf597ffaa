"""Amounts of memory and disk, with their unit."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from kvsim.config.schema.base import ScalarSchema, Validation
from kvsim.config.yaml_nodes import Scalar


class Size(ScalarSchema):
    """An amount of memory or disk with its unit, read into bytes: `64MB`, `1.5GB`; at most 1 TB."""

    expected = "an amount with its unit, such as 64MB or 2GB"
    SYNTAX = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(kB|KB|MB|GB)")
    UNITS: ClassVar[dict[str, int]] = {"kB": 1 << 10, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
    MAX = 1 << 40

    def parse(self, node: Scalar, validation: Validation) -> Any:
        match = self.SYNTAX.fullmatch(node.text)
        if not match:
            return validation.report_expected(node, self.expected)
        size = int(float(match[1]) * self.UNITS[match[2]])
        if size > self.MAX:
            return validation.report_expected(node, "at most 1024GB")
        return size

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.SYNTAX.pattern})$"}
