"""The mix of a load, on programs that lack a request. No process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kvsim.config.yaml_nodes import SourceLocation
from kvsim.runner.steps.workload import LoadStep

WITHOUT_DELETE = SimpleNamespace(requests={"put": None, "get": None})
WITH_DELETE = SimpleNamespace(requests={"put": None, "get": None, "delete": None})
STEP = {"id": "1", "verb": "load", "text": "load", "location": SourceLocation("s.yaml", 1, 1)}


@pytest.mark.parametrize(
    ("mix", "programs", "expected"),
    [
        ({"put": 5, "delete": 1}, [WITH_DELETE], {"put": 5, "delete": 1}),
        ({"put": 5, "delete": 1}, [WITH_DELETE, WITHOUT_DELETE], {"put": 5}),
        ({"put": 5, "cas": 1}, [WITHOUT_DELETE], {"put": 5, "cas": 1}),
        ({"delete": 1}, [WITHOUT_DELETE], {"delete": 1}),
    ],
)
def test_deletes_are_left_out_where_a_program_has_none(mix, programs, expected):
    assert LoadStep(**STEP, start="w", mix=mix).mix_for(programs) == expected


@pytest.mark.parametrize(
    ("mix", "needed"),
    [({"put": 5, "delete": 1}, {"put"}), ({"put": 1, "cas": 1}, {"put", "cas"})],
)
def test_a_load_does_without_deletes_and_not_without_other_requests(mix, needed):
    assert set(LoadStep(**STEP, start="w", mix=mix).request_verbs()) == needed


def test_a_load_of_deletes_alone_needs_them():
    assert LoadStep(**STEP, start="w", mix={"delete": 1}).request_verbs() == ("delete",)
