"""Find what the modules of a package declare, so that one new file is enough to add one."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Protocol, TypeVar


class Declared(Protocol):
    """A declaration that can be discovered: a unique name, and a position in the output."""

    @property
    def name(self) -> str: ...

    @property
    def order(self) -> int: ...


Declaration = TypeVar("Declaration", bound=Declared)


def discover(package: ModuleType, kind: type[Declaration]) -> dict[str, Declaration]:
    """Name -> every value of type `kind` at the top level of a module of `package`, in order.

    Imports the modules directly inside the package, not those of packages inside it. Raises
    ValueError when two different declarations have one name.
    """
    found: dict[str, Declaration] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, kind) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"{module.name}: there is another `{value.name}`")
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))
