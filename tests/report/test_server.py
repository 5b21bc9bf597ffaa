"""`kvsim serve`'s pages, over a real socket on the loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest

from kvsim.report.run_list import ListedRun, runs_in
from kvsim.report.server import Server
from tests.report.runs import failed_run


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    failed_run(tmp_path / "runs" / "20260101-000000-written")
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with Server(("127.0.0.1", 0), tmp_path / "runs") as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


RUN = "20260101-000000-written"


def get(server: Server, path: str, **headers: str) -> tuple[int, str]:
    status, text, _ = get_with_headers(server, path, **headers)
    return status, text


def get_with_headers(server: Server, path: str, **headers: str) -> tuple[int, str, Message]:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=180)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in ({"Host": f"localhost:{port}"} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_the_list_shows_each_run_also_without_a_verdict(server):
    status, text = get(server, "/")
    assert status == 200
    assert "A run written by hand" in text
    assert "no verdict" in text
    assert "not-a-run" not in text


def test_a_missing_timeline_is_written(server):
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
    assert get(server, "/", Host="evil.example:80")[0] == 403
    assert get(server, "/", Host="localhost:1")[0] == 403
    assert get(server, "/", Origin="http://evil.example")[0] == 403
    assert get(server, "/", Origin=f"http://localhost:{server.server_address[1]}")[0] == 200


@pytest.mark.parametrize("path", ["/", f"/{RUN}/report.html"])
def test_a_page_can_fetch_nothing(server, path):
    _, _, headers = get_with_headers(server, path)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    # A page of a run can also read nothing of this server.
    assert ("sandbox" in headers["Content-Security-Policy"]) == (path != "/")


def test_no_link_leads_out_of_the_folder(server, tmp_path):
    outside = failed_run(tmp_path / "outside" / "other")
    runs = tmp_path / "runs"
    (runs / "linked").symlink_to(outside.path)
    (runs / "latest").symlink_to(RUN)
    (runs / RUN / "trace.json").symlink_to(tmp_path / "secret.txt")
    assert get(server, "/linked/report.html")[0] == 404
    assert get(server, f"/{RUN}/trace.json")[0] == 404
    assert get(server, "/latest/report.html")[0] == 200
    assert "linked" not in get(server, "/")[1]


@pytest.mark.parametrize(
    "content", ['{"verdict": " "}', "[" * 100_000, '{"verdict": "\\ud800"}', "x", '{"verdict": 3}']
)
def test_a_damaged_run_hides_no_other(server, tmp_path, content):
    for name in ("meta.json", "proof.json"):
        damaged = failed_run(tmp_path / "runs" / f"20270101-damaged-{name}").path
        (damaged / name).write_text(content)
    status, text = get(server, "/")
    assert status == 200
    assert "A run written by hand" in text and text.count(">no verdict</span>") == 3


def test_a_run_that_holds_a_pipe_is_no_wait(server, tmp_path):
    os.mkfifo(tmp_path / "runs" / RUN / "proof.json")
    assert get(server, "/")[0] == 200
    assert get(server, f"/{RUN}/proof.json")[0] == 404


def test_a_listed_run_has_each_value_of_its_files(tmp_path):
    """Each value under its own name: a run was once listed with values by position."""
    run = failed_run(tmp_path / "20260101-000000-written")
    step = {"id": "2.1", "verb": "put", "at": "each follower"}
    steps = [{**step, "result": "fail", "why": "n2: got ok"}]
    run.proof_json.write_text(json.dumps({"verdict": "fail", "steps": steps, "checks": []}))
    assert list(runs_in(tmp_path)) == [
        ListedRun(
            name="20260101-000000-written",
            scenario="written",
            title="A run written by hand",
            program="kvstore",
            when="2026-01-01 00:00:00 +0000",
            seed="7",
            verdict="fail",
            cause="step 2.1 (put at each follower): n2: got ok",
        )
    ]


def test_runs_of_commands_that_make_many_are_listed_and_served(server, tmp_path):
    runs = tmp_path / "runs"
    for name in ("20260102-000000-repeat-roles/a", "20260103-000000-sweep-roles/cell/b"):
        failed_run(runs / name)
    status, text = get(server, "/")
    assert status == 200 and text.count('role="row"') == 3
    assert "part of 20260102-000000-repeat-roles" in text
    assert get(server, "/20260103-000000-sweep-roles/cell/b/report.html")[0] == 200
    assert get(server, "/20260103-000000-sweep-roles/cell/b/meta.json")[0] == 404


def test_the_page_of_a_campaign_is_linked_and_can_fetch_nothing(server, tmp_path):
    folder = tmp_path / "runs/campaign"
    folder.mkdir()
    (folder / "campaign.html").write_text("the campaign")
    (folder / "campaign.sqlite").write_text("secret")
    assert 'href="/campaign/campaign.html"' in get(server, "/")[1]
    status, text, headers = get_with_headers(server, "/campaign/campaign.html")
    assert (status, text) == (200, "the campaign")
    assert "sandbox" in headers["Content-Security-Policy"]
    assert get(server, "/campaign/campaign.sqlite")[0] == 404
    (folder / "campaign.html").unlink()
    (folder / "campaign.html").symlink_to(tmp_path / "secret.txt")
    assert get(server, "/campaign/campaign.html")[0] == 404


@pytest.mark.slow
def test_the_commands_report_and_serve(tmp_path):
    """As a person calls them; `--open` starts the browser that BROWSER names."""
    failed_run(tmp_path / "runs" / RUN)
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    script.chmod(0o755)
    command = [sys.executable, "-m", "kvsim"]
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "BROWSER": f"{script} %s", "PYTHONPATH": root}
    report = [*command, "report", f"runs/{RUN}", "--open"]
    done = subprocess.run(
        report, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    assert opened.read_text() == f"file://{tmp_path}/runs/{RUN}/report.html\n"
    with subprocess.Popen(
        [*command, "serve"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as served:
        address = served.stdout.readline().split()[0]
        with urllib.request.urlopen(address, timeout=180) as answer:
            assert b"A run written by hand" in answer.read()
        served.send_signal(signal.SIGINT)
        assert served.wait(180) == 0
