"""Edited, cut and foreign records: verify, check, report and logs say so, and never crash."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import kvsim.cli
from tests.fuzz.mutations import changed_bytes, fuzz_seed

PIECES = [
    *(b"", b"\n", b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"9" * 30, b"true", b"\xff"),
    *(b"\0", b'"\\ud800"', b'"kind"', b'"event"', b"NaN", b"[" * 3_000, b'{"a":' * 1_000),
    *(b",", b":", b'"'),
]
COMMANDS = (["verify"], ["check"], ["report"], ["logs", "--run"])
SCENARIO = """\
scenario: recorded
cluster: {root}/cluster.yaml
steps:
  - put: {{at: leader, key: k, value: v}}
  - put: {{at: any follower, key: k, value: w, expect: refused}}
  - fault: {{kill: n2, do: [{{get: {{at: leader, key: k, expect: {{value: v}}}}}}]}}
  - load: {{start: a, clients: 1, keys: 1}}
  - sleep: {{for: 50ms, why: let the load work}}
  - load: {{stop: a}}
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The directory of one run."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "s.yaml").write_text(SCENARIO.format(root=root))
    # With so short a load the run may be invalid; it is a whole record all the same.
    words = ["run", str(folder / "s.yaml"), "--out", str(folder / "runs")]
    assert kvsim.cli.main(words) in {0, 3}
    (run,) = [path for path in (folder / "runs").iterdir() if not path.is_symlink()]
    return run


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_any_record(recorded: Path, tmp_path: Path, command: list[str]) -> None:
    seed = fuzz_seed()
    print(f"KVSIM_FUZZ_SEED={seed}")
    rng = random.Random(seed)
    files = sorted(path.relative_to(recorded) for path in recorded.rglob("*") if path.is_file())
    for number in range(60):
        run = tmp_path / str(number)
        shutil.copytree(recorded, run, symlinks=True)
        file = run / rng.choice(files)
        file.write_bytes(changed_bytes(file.read_bytes(), rng, PIECES))
        status = kvsim.cli.main([*command, str(run)])
        name = file.relative_to(run)
        assert status in {0, 1, 2, 3, 4}, f"seed {seed}, number {number}: {name} in {run}"
        shutil.rmtree(run)
