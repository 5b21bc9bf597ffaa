"""Fixtures for the tests of the nodes: stores that are gone when the test is over."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from storerun import Store  # (test folders are no packages: the path has to be set first)


@pytest.fixture
def new_store(tmp_path):
    """Return a function that starts a store in a folder of its own; every one is killed at the end."""
    stores = []

    def new(name="n1", role="leader", **options):
        store = Store(tmp_path / name, role, **options)
        stores.append(store)
        return store.start()

    yield new
    for store in stores:
        store.close()
