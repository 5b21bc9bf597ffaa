"""`kvsim serve`'s pages, over a real socket on the loopback."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator

import pytest

from kvsim.report.serving import Server
from tests.report.runs import story


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    story(tmp_path / "runs" / "20260101-000000-written")
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with Server(("127.0.0.1", 0), tmp_path / "runs") as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(server: Server, path: str, host: str | None = None) -> tuple[int, str]:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host or f"localhost:{port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_list_shows_each_run_and_says_when_there_is_no_verdict(server):
    status, text = get(server, "/")
    assert status == 200
    assert "A run written by hand" in text
    assert "no verdict" in text
    assert "not-a-run" not in text


def test_a_film_that_is_not_there_is_drawn(server):
    status, text = get(server, "/20260101-000000-written/report.html")
    assert status == 200
    assert "A run written by hand" in text


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt/report.html",
        "/20260101-000000-written/meta.json",
    ],
)
def test_nothing_else_is_served(server, path):
    assert get(server, path)[0] == 404


def test_a_page_of_another_site_cannot_read_runs(server):
    assert get(server, "/", "evil.example:80")[0] == 403
