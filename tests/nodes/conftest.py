"""Fixtures for the tests of the nodes: reference stores that are killed after the test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# test folders are not packages, so the path has to be set first
from kvstore import engine, snapshot
from store_process import StoreProcess


@pytest.fixture
def new_store(tmp_path):
    """Return a function that starts a store in a new folder; all are killed at the end."""
    stores = []

    def new(name="n1", role="leader", **options):
        store = StoreProcess(tmp_path / name, role, **options)
        stores.append(store)
        return store.start()

    yield new
    for store in stores:
        store.close()


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of three keys, and no snapshot so small that it is decoded at once."""
    monkeypatch.setattr(snapshot, "CHUNK_KEYS", 3)
    monkeypatch.setattr(engine, "KEYS_AT_ONCE_MAX", 0)
