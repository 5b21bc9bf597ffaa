"""A run that kvsim itself broke off: why is noted beside what was recorded, and whoever started the run is told."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from kvsim.errors import UsageError
from kvsim.scenario.job import Job


@contextlib.contextmanager
def noted_if_broken_off(job: Job) -> Iterator[None]:
    """While inside, an error that ends the run is noted in its directory before it goes on. A mistake of the user is none."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        lines = traceback.format_exception(error)
        head = traceback.format_exception_only(error)[-1].splitlines()[0]
        with contextlib.suppress(OSError):  # a full disk is one of the reasons
            job.run.broken_off.write_text(f"{head}\n\n{''.join(lines)}", encoding="utf-8")
        job.options.broken_off(job.run)
        raise
