"""The kinds of fault that are declared. tests/docs/test_extending.py adds a new one."""

from __future__ import annotations

import pytest
from msgspec.structs import fields

from kvsim.faults.registry import fault_kinds

KINDS = pytest.mark.parametrize("kind", fault_kinds().values(), ids=lambda kind: kind.name)


@KINDS
def test_each_setting_is_an_attribute_of_the_settings_class(kind):
    settings = {row.attribute or name for name, row in kind.fields.items()}
    assert settings == {field.name for field in fields(kind.settings)}


@KINDS
def test_each_kind_describes_what_is_measured(kind):
    assert kind.description and kind.evidence and kind.recovery


@KINDS
def test_a_kind_that_is_weighted_by_default_can_be_drawn(kind):
    assert kind.draw or not kind.default_weight
