"""A machine on which kvsim cannot run is told so in one line, with what to do."""

from __future__ import annotations

import shlex

import pytest

from kvsim import prerequisites
from kvsim.prerequisites import PACKAGES, missing_package, unfit

ROLES = ["run", "scenarios/roles.yaml"]
IN_THE_CHECKOUT = "make setup && .venv/bin/python -m kvsim run scenarios/roles.yaml"


@pytest.fixture
def checkout(monkeypatch, root):
    monkeypatch.chdir(root)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 11, 2), (3, 12, 1), (3, 13, 0), (4, 0, 0)])
def test_new_pythons_on_linux_are_fit(version):
    assert unfit(version, "linux", ROLES) == ""


def test_an_old_python_gets_the_command_that_helps(checkout):
    line = unfit((3, 9, 2), "linux", ROLES)
    assert line == f"kvsim needs Python 3.11 or newer, and this is 3.9.2: {IN_THE_CHECKOUT}"


@pytest.mark.parametrize("module", PACKAGES)
def test_a_missing_package_gets_the_command_that_helps(checkout, module):
    line = missing_package(f"{module}.nodes", ROLES)
    assert PACKAGES[module] in line and line.endswith(IN_THE_CHECKOUT)


def test_outside_of_the_checkout_the_command_has_whole_paths(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    folder, python = shlex.quote(str(root)), shlex.quote(f"{root}/.venv/bin/python")
    assert f"make -C {folder} setup && {python}" in missing_package("yaml", ROLES)


def test_an_installed_package_is_helped_by_pip(tmp_path, monkeypatch):
    monkeypatch.setattr(prerequisites, "__file__", str(tmp_path / "kvsim/prerequisites.py"))
    assert "-m pip install PyYAML" in missing_package("yaml", ROLES)


@pytest.mark.parametrize("module", ["kvsim.no_such_module", "mine", None])
def test_another_module_is_not_the_machines_fault(module):
    assert missing_package(module, ROLES) == ""


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_another_system_is_told_to_use_a_container(platform):
    line = unfit((3, 13, 0), platform, ROLES)
    assert line.startswith("kvsim runs on Linux only") and "docker run" in line
    assert "\n" not in line
