"""Does a path of node.yaml stay below a node's data directory, whatever templates give? Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from kvsim.config.template import TemplateError, render

# Stands for the data directory, and for the values that only a run knows.
ROOT = "/data"
UNKNOWN = "x"


class _SampleNames(dict[str, Any]):
    """Names with a value for each name; no nodes in lists such as `{all:…}`."""

    def get(self, name: str, default: Any = None) -> Any:
        if name in ("all", "others", "followers"):
            return ()
        return super().get(name, UNKNOWN)


def leaves_data_dir(template: str, options: Mapping[str, str]) -> bool:
    """Whether the path is outside the data directory, with these values of options.

    Names that only a run can fill in count as one word. A path without templates is a matter of
    its schema.
    """
    if "{" not in template:
        return False
    try:
        path = render(template, _SampleNames({**options, "data_dir": ROOT}))
    except TemplateError:
        # Reported as a template.
        return False
    normal = posixpath.normpath(posixpath.join(ROOT, path))
    return not normal.startswith(f"{ROOT}/")


def paths_outside(paths: Mapping[str, str], options: Mapping[str, str]) -> Iterator[str]:
    """One message for each path (template → where it is written) outside the data directory."""
    for template, where in paths.items():
        if leaves_data_dir(template, options):
            yield f"{where}: {template!r} is outside the data directory of the node"
