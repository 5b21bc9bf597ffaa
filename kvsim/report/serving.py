"""A small page of all runs with their verdicts, and the files of each, over HTTP on the loopback. Reads run directories only.

Serves the four files a person opens and the nodes' logs, nothing else; changes nothing. A film that is not there yet is drawn when
it is asked for.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from kvsim.errors import KvsimError
from kvsim.report.write import write_reports
from kvsim.rundir import META, RunDir

TYPES = {
    "report.html": "text/html; charset=utf-8",
    "proof.txt": "text/plain; charset=utf-8",
    "trace.json": "application/json",
    "proof.json": "application/json",
}
STYLE = Path(__file__).parent / "runs.css"
ROWS_LIMIT = 1000
NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Listed:
    """One run as the list shows it. `verdict` is as written when the run ended; empty when it never was."""

    name: str
    scenario: str
    title: str
    when: str
    seed: str
    verdict: str


def runs_in(parent: Path) -> Iterator[Listed]:
    """The runs of a folder, the newest first. What is not a run is passed over."""
    found = (path for path in parent.iterdir() if (path / META).is_file() and not path.is_symlink())
    for path in sorted(found, key=lambda path: path.name, reverse=True)[:ROWS_LIMIT]:
        meta, proof = _json(path / META), _json(path / "proof.json")
        words = (str(meta.get(name, "")) for name in ("scenario", "title", "when", "seed"))
        yield Listed(path.name, *words, verdict=str(proof.get("verdict", "")))


def _json(path: Path) -> dict:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def list_page(parent: Path) -> str:
    """The page of all runs."""
    rows = (
        "\n".join(map(_row, runs_in(parent)))
        or '<tr><td colspan="5">no runs here yet: kvsim run makes them</td></tr>'
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>kvsim runs</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><h1>Runs <small>{html.escape(str(parent))}</small></h1>"
        "<table><thead><tr><th>verdict<th>scenario<th>when<th>seed<th></tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>"
    )


def _row(run: Listed) -> str:
    link = quote(run.name)
    verdict = run.verdict or "no verdict"
    cells = [
        f'<span class="verdict {html.escape(verdict.split()[0])}">{html.escape(verdict)}</span>',
        f'<a href="/{link}/report.html"><b>{html.escape(run.scenario)}</b><br>{html.escape(run.title)}</a>',
        html.escape(run.when),
        html.escape(run.seed),
        f'<a href="/{link}/proof.txt">proof</a> <a href="/{link}/trace.json" download>trace</a>',
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


class Server(ThreadingHTTPServer):
    """Serves one folder of runs. Close it with `server_close`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], parent: Path) -> None:
        super().__init__(address, Handler)
        self.parent = parent


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD only."""

    server: Server
    server_version, sys_version = "kvsim", ""

    def do_GET(self) -> None:
        """Answer with the list, with a file of a run, or with what is wrong."""
        if self.headers.get("Host", "").rpartition(":")[0] not in NAMES:
            # a page elsewhere that has its own name resolved to this machine must not read runs
            return self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"only by the name localhost\n")
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        if not parts:
            return self._answer(HTTPStatus.OK, TYPES["report.html"], list_page(self.server.parent).encode())
        return self._file(parts)

    do_HEAD = do_GET

    def _file(self, parts: list[str]) -> None:
        run = self._run(parts[0])
        if run is None or len(parts) != 2 or parts[1] not in TYPES:
            return self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")
        try:
            if parts[1] in {"report.html", "trace.json"} and not (run.path / parts[1]).exists():
                write_reports(run)
            data = (run.path / parts[1]).read_bytes()
        except (OSError, KvsimError) as error:
            return self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", f"{error}\n".encode())
        return self._answer(HTTPStatus.OK, TYPES[parts[1]], data)

    def _run(self, name: str) -> RunDir | None:
        path = self.server.parent / name
        inside = path.name == name and name not in {".", ".."}
        return RunDir(path) if inside and (path / META).is_file() else None

    def _answer(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the terminal belongs to the address that was printed."""
