"""Stores as a student writes them from the lesson, in seven languages, from init to a verdict.

kvsim is an installed wheel, and the folder holds the student's program only. Each language speaks
lines in two styles of answers, and all but one a protocol of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsim.doctor.registry import Status
from tests.installed_wheel import run
from tests.learner.mini_store import ANSWERS

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
STORES = HERE / "stores"
TIMEOUT_S = 180
RUSTC = Path.home() / ".cargo/bin/rustc"


@dataclass(frozen=True)
class Language:
    """How a store is built into a folder, and how it is started there. `tools` it cannot do
    without; `package` is Debian's. `faults`: the diagnostics that fail."""

    tools: tuple[str, ...]
    package: str
    program: str
    files: tuple[str, ...]
    build: tuple[str, ...] = ()
    faults: frozenset[str] = frozenset()


# Strings of these languages hold text, so that other bytes are changed or refused.
TEXT_ONLY = frozenset({"value_not_utf8"})
LANGUAGES = {
    "c": Language(
        ("cc",), "gcc", "./kvstore", ("../kvstore.c", "../kv_client.c"), ("sh", "build.sh")
    ),
    "cpp": Language(
        ("g++",),
        "g++",
        "./store",
        ("store.cpp",),
        ("g++", "-std=c++17", "-pthread", "-o", "store", "store.cpp"),
    ),
    "go": Language(
        ("go",), "golang-go", "./store", ("store.go",), ("go", "build", "-o", "store", "store.go")
    ),
    "java": Language(
        ("javac", "java"),
        "default-jdk-headless",
        "java -cp . Store",
        ("Store.java",),
        ("javac", "Store.java"),
        TEXT_ONLY,
    ),
    "node": Language(("node",), "nodejs", "node store.js", ("store.js",)),
    "rust": Language(
        ("rustc",),
        "rustc",
        "./store",
        ("store.rs",),
        ("rustc", "-o", "store", "store.rs"),
    ),
    "python": Language(("python3",), "python3", "./store.py", ("../mini_store.py",)),
}
BUILD_IN_C = "cc -O1 -o kvstore kvstore.c && cc -O1 -o kv_client kv_client.c\n"


@dataclass(frozen=True)
class Case:
    """One store: its language, protocol and style. `handler`: of SIGTERM. `flush`: of its log.
    `faults`: the diagnostics that fail beside those of its language."""

    language: str
    answers: str = "value_word"
    protocol: str = "lines"
    handler: bool = True
    flush: bool = True
    keeps: bool = True
    refusal: str = "ERR read-only, leader is on port {leader}"
    redirects: bool = True
    client: str = ""
    faults: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.language}-{self.protocol}-{self.answers}"


PLAIN = "ERR read-only: this node is a follower"
CASES = [
    Case("cpp", "bare_not_found", flush=False, handler=False),
    Case("cpp", "key_echo", keeps=False),
    Case("cpp", protocol="frames", handler=False),
    Case("go", "value_word", handler=False),
    Case("go", "numbered", refusal=PLAIN, redirects=False),
    Case("go", protocol="http", keeps=False),
    Case("java", "bare_nil", handler=False),
    Case("java", "json", keeps=False),
    Case("java", protocol="http", handler=False),
    Case("node", "bare_error_word", refusal="-READONLY leader={leader}", faults=TEXT_ONLY),
    Case("node", "value_echo", handler=False, keeps=False, faults=TEXT_ONLY),
    # In JSON, such bytes are written in letters, and come back.
    Case("node", protocol="json"),
    Case("rust", "bare_empty_line", handler=False, refusal=PLAIN, redirects=False),
    Case("rust", "ok_and_value", handler=False, refusal="-ERR not leader, try {leader}"),
    Case("rust", protocol="resp", handler=False, redirects=False, faults=TEXT_ONLY),
    Case("python", "code", refusal="403 read-only", redirects=False),
    Case("python", "quoted", refusal="ERR not the leader: {leader}", keeps=False),
    Case("c", client="./kv_client", protocol="client", flush=False, keeps=False),
]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with a language's program, built once. Skips where its tools are missing."""
    built: dict[str, Path] = {}

    def call(name: str) -> Path:
        language = LANGUAGES[name]
        path = f"{os.environ['PATH']}:{RUSTC.parent}"
        missing = [tool for tool in language.tools if not shutil.which(tool, path=path)]
        if missing:
            pytest.skip(f"no {missing[0]}: make real-setup, or apt-get install {language.package}")
        if name not in built:
            folder = tmp_path_factory.mktemp(name)
            for file in language.files:
                shutil.copy(STORES / file, folder)
            (folder / "build.sh").write_text(BUILD_IN_C)
            if name == "python":
                (folder / "mini_store.py").rename(folder / "store.py")
            if language.build:
                environment = {**os.environ, "PATH": path, "GO111MODULE": "off"}
                subprocess.run(
                    language.build, cwd=folder, env=environment, check=True, timeout=TIMEOUT_S
                )
            built[name] = folder
        return built[name]

    return call


def write_style(folder: Path, case: Case) -> None:
    """The file that tells a store what it answers."""
    if case.language == "python":
        style: dict[str, object] = {"start": "lesson", "answers": case.answers}
        style |= {"refusal": case.refusal, "handler": case.handler}
        style["keeps"] = "kill" if case.keeps else "nothing"
        (folder / "style").write_text(json.dumps(style))
        return
    put, get, missing, delete, absent = ANSWERS[case.answers]
    flags = {name: "yes" if getattr(case, name) else "no" for name in ("handler", "flush", "keeps")}
    words = {
        "put": put,
        "get": get,
        "missing": missing,
        "delete": delete,
        "absent": absent,
        "refusal": case.refusal,
        "protocol": case.protocol,
        **flags,
    }
    (folder / "style").write_text("".join(f"{name} {text}\n" for name, text in words.items()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_stores_first_hour(case, build, installed_wheel, tmp_path):
    folder = tmp_path / "my store"
    shutil.copytree(build(case.language), folder)
    write_style(folder, case)
    command = installed_wheel / "bin/kvsim"

    def kvsim(*words: str) -> subprocess.CompletedProcess[str]:
        return run(command, *words, cwd=folder)

    client = ("--client", case.client) if case.client else ()
    done = kvsim("init", "--program", LANGUAGES[case.language].program, *client)
    described = (folder / "node.yaml").read_text()
    report = f"{done.stdout}{done.stderr}\n{described}"
    assert done.returncode == 0, report
    unclear = [line for line in done.stdout.splitlines() if line.startswith(("to do", "question"))]
    about_log = [line for line in unclear if "of its log arrived" in line]
    about_data = [line for line in unclear if "after a stop its data were gone" in line]
    capabilities = next(line for line in described.splitlines() if line.startswith("capabilities"))
    keeps = "restart" in capabilities
    assert unclear == [*about_log, *about_data] or unclear == [*about_data, *about_log], report
    assert bool(about_log) == (not case.flush), report
    assert bool(about_data) is ("keeps: nothing" in described) is not keeps, report
    assert ("redirect" in capabilities) == case.redirects, report
    if case.language != "c":
        assert ("restart" in capabilities) == case.keeps, report

    # The shipped scenario asks for the leader's name.
    done = kvsim("run", "roles" if case.redirects else "roles.yaml")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{described}"
    done = kvsim("run", "survives")
    assert done.returncode == (0 if keeps else 3), f"{done.stdout}{done.stderr}\n{described}"
    done = kvsim("doctor", "node.yaml", "--json")
    report = f"{done.stdout}{done.stderr}\n{described}"
    assert done.stdout, report
    errors = {
        row["diagnostic"] for row in json.loads(done.stdout) if row["status"] == str(Status.ERROR)
    }
    assert errors == LANGUAGES[case.language].faults | case.faults, report
