"""An HTTP server on the loopback interface: a page of all runs with their verdicts, and the files
of each run.

Serves the four files of a run that a person opens, the pages of campaigns, and nothing else: no
link leads out of the folder. A run directory may be anybody's, so what is served can fetch nothing
and read no other run. Writes only a timeline that is missing when it is requested.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kvsim.errors import KvsimError, UsageError
from kvsim.report.run_list import is_own_file, list_page
from kvsim.report.write import write_reports
from kvsim.run_directory import CAMPAIGN_PAGE, META, RunDirectory, read_file
from kvsim.text import escape_surrogates

HTML = "text/html; charset=utf-8"
RUN_FILES = {
    "report.html": HTML,
    "proof.txt": "text/plain; charset=utf-8",
    "trace.json": "application/json",
    "proof.json": "application/json",
}
TYPES = {**RUN_FILES, CAMPAIGN_PAGE: HTML}

# A page elsewhere can resolve its own name to this machine; it must not read runs.
HOST_NAMES = ("localhost", "127.0.0.1", "[::1]")
# The pages hold their scripts and styles. Those of a run have an origin of their own, so that they
# reach nothing of this server.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
RUN_POLICY = f"{POLICY}; sandbox allow-scripts allow-downloads"


def _run_at(parent: Path, parts: Sequence[str]) -> RunDirectory | None:
    """The run at this path in the folder. `latest` may be a link to another run of the folder."""
    path = _inside(parent, parts)
    return RunDirectory(path) if path and is_own_file(path / META) else None


def _inside(parent: Path, parts: Sequence[str]) -> Path | None:
    """A path in the folder; None for one that leads out of it."""
    if any(part in {".", ".."} or "/" in part or "\0" in part for part in parts):
        return None
    path = parent.joinpath(*parts).resolve()
    return path if path.is_relative_to(parent.resolve()) else None


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
        """Answer with the list, with a file of a run, or with an error."""
        if not self._is_asked_by_name():
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"only by the name localhost\n")
            return
        path = urlsplit(self.path).path
        parts = [unquote(part, errors="surrogateescape") for part in path.split("/") if part]
        if not parts:
            page = escape_surrogates(list_page(self.server.parent)).encode()
            self._answer(HTTPStatus.OK, HTML, page, POLICY)
            return
        self._file(parts)

    do_HEAD = do_GET

    def _is_asked_by_name(self) -> bool:
        """Whether the browser knows this server by its own name, and no other site asks."""
        port = self.server.server_address[1]
        own = {f"{name}:{port}" for name in HOST_NAMES}
        origin = self.headers.get("Origin")
        asked_by_itself = origin is None or origin.removeprefix("http://") in own
        return self.headers.get("Host", "") in own and asked_by_itself

    def _file(self, parts: list[str]) -> None:
        *folder, name = parts
        try:
            data = _content(self.server.parent, folder, name)
        except (OSError, KvsimError) as error:
            text = escape_surrogates(f"{error}\n").encode()
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text)
            return
        self._answer(HTTPStatus.OK, TYPES[name], data)

    def _answer(
        self, status: HTTPStatus, content_type: str, data: bytes, policy: str = RUN_POLICY
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing: the terminal shows the address of the server."""


def _content(parent: Path, folder: Sequence[str], name: str) -> bytes:
    """A file of a run, or the page of a campaign; a report that is missing is written first.

    Raises OSError, KvsimError.
    """
    place = _inside(parent, folder)
    if name == CAMPAIGN_PAGE and place and is_own_file(place / name):
        return read_file(place / name)
    run = _run_at(parent, folder)
    if run is None or name not in RUN_FILES:
        raise UsageError("there is no such page")
    path = run.path / name
    if path.is_symlink():
        raise UsageError(f"{path}: a link is not served")
    if path in {run.timeline, run.trace} and not path.exists():
        write_reports(run)
    return read_file(path)
