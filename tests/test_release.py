"""Version, tag and changelog say the same; the files that users expect are there."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest

import kvsim

NEWEST = re.compile(r"^## (Unreleased|\d+\.\d+\.\d+)", re.MULTILINE)


def tags_here(root) -> list[str]:
    """The version tags of the commit that is checked out; none outside of a repository."""
    done = subprocess.run(
        ["git", "tag", "--points-at", "HEAD", "v*"], cwd=root, capture_output=True, text=True
    )
    return done.stdout.split()


def test_the_changelog_begins_with_what_is_to_be_released(root):
    """A tagged commit has the section of its version first; any other has "Unreleased" there."""
    first = NEWEST.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    tags = tags_here(root)
    expected = {tag.removeprefix("v") for tag in tags} or {"Unreleased", kvsim.__version__}
    assert first and first[1] in expected, "CHANGELOG.md: name the version of this release"


def test_a_tag_names_the_version(root):
    assert set(tags_here(root)) <= {f"v{kvsim.__version__}"}, "kvsim/__init__.py: __version__"


def test_the_version_stands_in_one_place(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"] and "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"] == {"path": "kvsim/__init__.py"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", kvsim.__version__)


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_files_that_users_expect_are_there(root, name):
    assert (root / name).read_text(encoding="utf-8").strip()
