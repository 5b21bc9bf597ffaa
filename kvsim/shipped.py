"""The files that kvsim is shipped with: its programs, scenarios and clusters, found by name.

In a checkout they are beside the package; in an installed wheel they are in its folder `share`. The
folders have the same names and positions in both, so that the files may name each other.
"""

from __future__ import annotations

from pathlib import Path

from kvsim.folders import find_paths

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "share"
# Contains nodes/, scenarios/, clusters/ and cluster.yaml.
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
PROGRAMS = FOLDER / "nodes"
SCENARIOS = FOLDER / "scenarios"
CLUSTERS = FOLDER / "clusters"
# Three nodes of the reference store. Scenarios that suit every store name this cluster.
GENERAL_CLUSTER = FOLDER / "cluster.yaml"


def is_shipped(path: Path) -> bool:
    """Whether a file is one of those in this module's folders."""
    resolved = path.resolve()
    return resolved == GENERAL_CLUSTER or any(
        resolved.is_relative_to(folder) for folder in (PROGRAMS, SCENARIOS, CLUSTERS)
    )


def installed_scenario(path: Path) -> str | None:
    """The name of a scenario that is inside an installed package. In a checkout None: its files are
    the user's own."""
    if FOLDER != _INSTALLED or not path.resolve().is_relative_to(SCENARIOS):
        return None
    return path.resolve().relative_to(SCENARIOS).with_suffix("").as_posix()


def shipped(folder: Path) -> dict[str, Path]:
    """Name → file, for all YAML files below one of the folders: `roles`, `storms/majority`."""
    files = sorted(find_paths(folder, "**/*.yaml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}
