"""The list of all runs in a folder, those of repeat, sweep and campaign too, as a page.

A run directory may be anybody's: what cannot be read of it is left out, and hides no other run.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from kvsim.checks.deviation import first_deviation
from kvsim.checks.verdict import Verdict
from kvsim.errors import UsageError
from kvsim.history.journal import decode_json
from kvsim.report import html_list
from kvsim.run_directory import CAMPAIGN_PAGE, META, PROOF_JSON, read_file
from kvsim.text import one_line, plural, truncate

# runs/TIME-sweep-NAME/CELL/RUN, and a campaign's runs/RUN.
DEPTH_MAX = 3
ROWS_LIMIT = 1000
CAUSE_LENGTH_MAX = 200
VERDICTS = tuple(str(verdict) for verdict in Verdict)
NO_VERDICT = "no verdict"


class ListedRun(Struct, frozen=True):
    """One run as the list shows it. `name` is its path in the folder.

    `verdict` is as written when the run ended; empty: none was. `cause`: where it first went wrong.
    """

    name: str
    scenario: str
    title: str
    program: str
    when: str
    seed: str
    verdict: str
    cause: str


def runs_in(parent: Path) -> Iterator[ListedRun]:
    """The runs of a folder, the newest first. Everything else in it is ignored."""
    found = sorted(_run_paths(parent, DEPTH_MAX), key=lambda path: path.name, reverse=True)
    for path in found[:ROWS_LIMIT]:
        yield _listed(path, parent)


def campaigns_in(parent: Path) -> list[str]:
    """The paths of the campaigns' pages in a folder."""
    pages = [path / CAMPAIGN_PAGE for path in [parent, *_folders(parent)]]
    return [str(page.relative_to(parent)) for page in pages if is_own_file(page)]


def _run_paths(folder: Path, depth: int) -> Iterator[Path]:
    for path in _folders(folder):
        if is_own_file(path / META):
            yield path
        elif depth > 1:
            yield from _run_paths(path, depth - 1)


def _folders(folder: Path) -> Iterator[Path]:
    """The folders inside, without links: none leads out."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from (folder / name for name in sorted(names))


def is_own_file(path: Path) -> bool:
    """Whether it is a file, and no link to one."""
    return path.is_file() and not path.is_symlink()


def _listed(path: Path, parent: Path) -> ListedRun:
    """What the list shows of a run, as far as it can be read."""
    meta, proof = _read_json(path / META), _read_json(path / PROOF_JSON)
    verdict = proof.get("verdict")
    return ListedRun(
        name=str(path.relative_to(parent)),
        scenario=str(meta.get("scenario", "")),
        title=str(meta.get("title", "")),
        program=_program(meta),
        when=str(meta.get("when", "")),
        seed=str(meta.get("seed", "")),
        verdict=verdict if verdict in VERDICTS else "",
        cause=_cause(proof) if verdict in VERDICTS else "",
    )


def _program(meta: dict[str, Any]) -> str:
    """The programs of the nodes, each once; empty in a damaged run."""
    nodes = meta.get("nodes")
    plans = nodes.values() if isinstance(nodes, dict) else ()
    return ", ".join(
        dict.fromkeys(str(plan.get("program", "")) for plan in plans if isinstance(plan, dict))
    )


def _cause(proof: dict[str, Any]) -> str:
    """Where a run first went wrong, on one line; empty for a pass, and in a damaged proof."""
    try:
        position, message = first_deviation(proof)
        return truncate(": ".join(filter(None, (position, one_line(message)))), CAUSE_LENGTH_MAX)
    except (KeyError, TypeError, AttributeError, IndexError):
        return ""


def _read_json(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty when there is none."""
    try:
        value = decode_json(read_file(path)) if is_own_file(path) else None
    except (UsageError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


# --- the page -------------------------------------------------------------------------------------

HEADINGS = {"verdict": "", "scenario": "", "program": "", "when": "", "seed": "", "files": ""}


def list_page(parent: Path) -> str:
    """The page of all runs."""
    runs = list(runs_in(parent))
    return html_list.page("kvsim runs", "\n".join(_body(parent, runs)))


def _body(parent: Path, runs: list[ListedRun]) -> Iterator[str]:
    yield "<h1>Runs</h1>"
    yield f'<p class="soft path">{plural(len(runs), "run")} in {html.escape(str(parent))}</p>'
    for page in campaigns_in(parent):
        name = html.escape(str(Path(page).parent))
        yield f'<p>campaign: <a href="/{quote(os.fsencode(page))}">{name}</a></p>'
    if not runs:
        yield "<p>no runs here yet: <code>kvsim run</code> makes them</p>"
        return
    yield html_list.filters(
        {
            "verdict": (run.verdict or NO_VERDICT for run in runs),
            "scenario": (run.scenario for run in runs),
            "program": (run.program for run in runs),
        }
    )
    yield html_list.table("runs", HEADINGS, map(_row, runs), filtered=True)


def _row(run: ListedRun) -> str:
    verdict = run.verdict or NO_VERDICT
    cells = [
        ("", "fixed", html_list.verdict(verdict)),
        ("", "wide", _scenario(run)),
        ("program", "", html.escape(run.program)),
        ("", "fixed", f"<time>{html.escape(run.when[:16])}</time>"),
        ("seed", "fixed", html.escape(run.seed)),
        ("", "fixed", _files(run)),
    ]
    data = {"verdict": verdict, "scenario": run.scenario, "program": run.program}
    return html_list.row(cells, data)


def _scenario(run: ListedRun) -> str:
    path = Path(run.name)
    part = f" <small>part of {html.escape(str(path.parent))}</small>" if path.parent.name else ""
    cause = f'<span class="cause soft">{html.escape(run.cause)}</span>' if run.cause else ""
    name = html.escape(run.scenario) or "a run"
    link = f'<a href="/{quote(os.fsencode(run.name))}/report.html"><b>{name}</b></a>'
    return f"{link} {html.escape(run.title)}{part}{cause}"


def _files(run: ListedRun) -> str:
    link = quote(os.fsencode(run.name))
    name = html.escape(f"{run.scenario}, {run.when}")
    return (
        f'<a href="/{link}/proof.txt" aria-label="proof of {name}">proof</a> '
        f'<a href="/{link}/trace.json" download aria-label="trace of {name}">trace</a>'
    )
