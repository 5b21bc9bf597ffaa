"""The registry of readiness probes."""

from __future__ import annotations

import sys

import pytest
from msgspec.structs import replace

from kvsim.config.program import Probe, Ready
from kvsim.config.schema import Field
from kvsim.config.schema.export import json_schema
from kvsim.discovery import discover
from kvsim.launcher import probes
from kvsim.launcher.probes.declaration import ProbeKind
from kvsim.launcher.readiness import PROBE_KINDS, Readiness
from kvsim.runner.registry import REGISTRY

MODULE = "file_probe"
NEW_KIND = '''
from kvsim.config.schema import Field, Record, Text
from kvsim.launcher.probes.declaration import ProbeResult, probe_kind

FILE = Record("file probe", {"path": Field(Text("a path"), "which file")}, bare="path")


@probe_kind("file", FILE)
def file(context, settings):
    """A file exists in the data directory."""
    path = context.node.data / settings["path"]
    return ProbeResult({"file": str(path)} if path.exists() else None, f"{path} is not there")
'''


@pytest.fixture
def kinds(tmp_path, monkeypatch):
    """The kinds of probe with one more module in the package."""
    (tmp_path / f"{MODULE}.py").write_text(NEW_KIND)
    monkeypatch.setattr(probes, "__path__", [*probes.__path__, str(tmp_path)])
    yield discover(probes, ProbeKind)
    sys.modules.pop(f"{probes.__name__}.{MODULE}", None)
    vars(probes).pop(MODULE, None)


def test_the_kinds_and_their_order():
    assert list(PROBE_KINDS) == ["log", "port", "ping", "request", "http", "command"]
    assert all(kind.about for kind in PROBE_KINDS.values())


def test_a_new_module_is_enough_for_a_new_kind(kinds):
    assert list(kinds) == [*PROBE_KINDS, "file"]
    assert kinds["file"].about == "a file exists in the data directory"
    fields = {kind.name: Field(kind.schema, kind.about) for kind in kinds.values()}
    registry = replace(REGISTRY, load_probes=lambda: fields)
    ready = json_schema("program", registry)["properties"]["ready"]
    assert "file" in str(ready)


def test_a_new_kind_is_tried_like_the_others(kinds, build_cluster, monkeypatch):
    cluster = build_cluster("ready: {ping: true, within: 10s}\n")
    node = cluster.launcher.nodes["n1"]
    monkeypatch.setitem(PROBE_KINDS, "file", kinds["file"])
    readiness = Readiness.of(node, {}, Ready(all_of=(Probe("file", {"path": "ready"}),)))
    assert not readiness.reached()
    assert readiness.missing() == {"file": f"{node.data / 'ready'} is not there"}
    node.data.mkdir(parents=True)
    (node.data / "ready").touch()
    assert readiness.reached()
    assert readiness.evidence == {"file": {"file": str(node.data / "ready")}}
