"""Keeps a watchdog process beside a run: after a SIGKILL of kvsim it cleans up.

Then no process and no folder of the run is left behind. After an interrupt it cleans up, too: a
signal may have arrived when a process was started and nothing knew of it yet. So it does after an
error in kvsim itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from kvsim.errors import KvsimError
from kvsim.process.child import register_helper
from kvsim.process.environment import new_run_tag
from kvsim.run_directory import remove_folder

SCRIPT = Path(__file__).with_name("watchdog.py")
# A shell waits, which costs 1 ms; Python is started only when kvsim has died.
WAIT = 'read -r how || exec "$@"; [ "$how" = done ] || KVSIM_MESSAGE= exec "$@"'
DONE, SWEEP = b"done\n", b"sweep\n"
CLOSE_WAIT_S = 15.0


class WatchdogGuard:
    """A context manager. When it is left, the watchdog ends; when kvsim is killed, it acts.

    `message` is what the watchdog then writes to stderr.
    """

    def __init__(
        self,
        run: str,
        made: Iterable[Path],
        message: str = "",
        control_groups: Iterable[str] = (),
    ) -> None:
        """`made`: files and folders to remove. `run`: the tag of the processes to kill.

        `control_groups`: beginnings of the paths of control groups to end and remove.
        """
        groups = [f"group:{prefix}" for prefix in control_groups]
        watchdog = [sys.executable, "-I", "-S", str(SCRIPT), run, *map(str, made), *groups]
        self._argv = ["/bin/sh", "-c", WAIT, "sh", *watchdog]
        self._message = message

    def __enter__(self) -> WatchdogGuard:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Kvsim's own, for the message.
            stderr=None,
            start_new_session=True,
            env={"KVSIM_MESSAGE": self._message},
        )
        register_helper(self._process.pid)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an interrupt, or an error in kvsim, something may not have been cleaned up.
        unclean = kind is not None and not issubclass(kind, KvsimError)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(SWEEP if unclean else DONE)
                self._process.stdin.close()
        try:
            self._process.wait(CLOSE_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def scratch(prefix: str, run: str = "", parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder (in `parent`) that is removed after any end of the block.

    After a SIGKILL of kvsim, too; then the processes with the tag `run` are killed as well.
    """
    # `secrets` would import hmac and _hashlib in every run.
    name = f"{prefix}{os.urandom(6).hex()}"
    folder = (parent or Path(tempfile.gettempdir())).resolve() / name
    # The watchdog is there before the folder, and until after it.
    with WatchdogGuard(run or new_run_tag(), [folder]):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            remove_folder(folder)
