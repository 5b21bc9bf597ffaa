"""Wrong arguments and folders, and what a node imports before it listens."""

import subprocess
from pathlib import Path

import pytest
from kvstore import flags
from kvstore.errors import StartError
from store_process import NODES, PYTHON, WAIT_S, free_port, run_once

GOOD = ["--port=9001", "--data-dir=x", "--role=leader"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--port is missing"),
        (["--port=9001", "--data-dir=x"], "--role is missing"),
        (["--port=0", *GOOD[1:]], "1 to 65535"),
        (["--port=70000", *GOOD[1:]], "1 to 65535"),
        (["--port=nine", *GOOD[1:]], "1 to 65535"),
        (["--port", *GOOD[1:]], "--port needs a value"),
        ([*GOOD, "--port=9002"], "given twice"),
        ([*GOOD, "--colour=red"], "unknown argument '--colour=red'"),
        ([*GOOD, "stray"], "unknown argument 'stray'"),
        ([*GOOD[:2], "--role=king"], "leader or follower"),
        ([*GOOD, "--leader=9002"], "a leader has no leader"),
        ([*GOOD[:2], "--role=follower", "--leader=9001"], "names this node itself"),
        ([*GOOD[:2], "--role=follower", "--leader=:9001"], "HOST:PORT"),
        ([*GOOD[:2], "--role=follower", "--leader=here:x"], "1 to 65535"),
        ([GOOD[0], "--data-dir=", GOOD[2]], "must not be empty"),
        ([*GOOD, "--name=n 1"], "letters, digits, - and _"),
        ([*GOOD, "--peers=n2=9002"], "--peers needs --name"),
        ([*GOOD, "--name=n1", "--peers=9002"], "NAME=HOST:PORT"),
        ([*GOOD, "--name=n1", "--peers=n2=9002,n2=9003"], "names 'n2' twice"),
        ([*GOOD, "--name=n1", "--peers=n2=9002,"], "and '' is not"),
        ([*GOOD, "--name=n1", "--peers=n1=9002"], "names this node itself"),
        ([*GOOD, "--name=n1", "--peers=n2=here:x"], "1 to 65535"),
    ],
)
def test_wrong_flags_print_one_clear_line(argv, message):
    with pytest.raises(StartError) as caught:
        flags.parse(argv)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_both_forms_of_a_flag_are_equal():
    joined = flags.parse([*GOOD[:2], "--role=follower", "--leader=10.0.0.9:7"])
    words = ["--port", "9001", "--data-dir", "x", "--role", "follower", "--leader", "10.0.0.9:7"]
    apart = flags.parse(words)
    assert [getattr(joined, name) for name in joined.__slots__] == [
        getattr(apart, name) for name in apart.__slots__
    ]
    assert joined.leader == ("10.0.0.9", 7)
    with pytest.raises(AttributeError):
        joined.port = 1


def test_a_peer_without_a_host_is_on_the_own_host():
    settings = flags.parse([*GOOD, "--host=10.0.0.1", "--name=n1", "--peers=n2=9002,n3=10.0.0.3:7"])
    assert settings.peers == {"n2": ("10.0.0.1", 9002), "n3": ("10.0.0.3", 7)}
    assert flags.parse([*GOOD, "--name=n1", "--peers="]).peers == {}


def test_help_lists_every_flag():
    status, out, err = run_once(["--help"])
    assert (status, err) == (0, "")
    assert all(f"--{flag}" in out for flag in flags.FLAGS)
    assert "kv_client" in out


def test_a_wrong_flag_ends_with_status_2_and_creates_nothing(tmp_path):
    folder = tmp_path / "data"
    status, _, err = run_once(["--port=0", f"--data-dir={folder}", "--role=leader"])
    assert status == 2
    assert len(err.splitlines()) == 1
    assert not folder.exists()


def args(folder, port=None):
    return [f"--port={port or free_port()}", f"--data-dir={folder}", "--role=leader"]


def test_a_port_in_use_is_named(new_store, tmp_path):
    store = new_store()
    status, _, err = run_once(args(tmp_path / "other", store.port))
    assert status == 2
    assert f"port {store.port} on 127.0.0.1 is in use" in err


def test_a_folder_with_foreign_files_is_refused_and_not_changed(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    status, _, err = run_once(args(tmp_path))
    assert status == 2
    assert "holds other files" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_newer_format_is_refused(tmp_path):
    (tmp_path / "FORMAT").write_text("kvstore-data 9\n")
    status, _, err = run_once(args(tmp_path))
    assert status == 2
    assert "another format" in err


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "data").write_text("")
    status, _, err = run_once(args(tmp_path / "data"))
    assert status == 2
    assert "cannot use data directory" in err


def test_two_nodes_never_share_a_folder(new_store):
    store = new_store()
    status, _, err = run_once(args(store.data_dir))
    assert status == 2
    assert "in use by another running node" in err
    assert store.ask("PING") == "PONG"


def test_the_store_also_starts_as_a_module(tmp_path):
    done = subprocess.run(
        [PYTHON, "-m", "nodes.kvstore", "--help"],
        cwd=NODES.parent,
        capture_output=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0


def test_before_it_listens_it_imports_only_c_modules_and_kvstore():
    script = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {str(NODES)!r})\n"
        "import kvstore.main\n"
        "for name in sys.modules.keys() - before:\n"
        "    print(name, getattr(sys.modules[name], '__file__', None))\n"
    )
    command = [PYTHON, "-I", "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    own = {name for name, file in loaded.items() if file.startswith(str(NODES))}
    in_python = {name for name in loaded if name not in own and loaded[name].endswith(".py")}
    assert "kvstore.main" in own
    assert in_python == set()
    assert "kvstore.interfaces" not in own


def test_the_store_does_not_import_kvsim():
    for path in Path(NODES / "kvstore").glob("*.py"):
        assert "import kvsim" not in path.read_text() and "from kvsim" not in path.read_text()


def test_a_damaged_log_stops_the_start_and_repair_keeps_what_is_before_the_damage(new_store):
    store = new_store()
    with store.client() as ask:
        for number in range(5):
            ask(f"PUT k{number} {number}")
    store.stop()
    log = next(store.data_dir.glob("log-*"))
    data = bytearray(log.read_bytes())
    data[data.index(b"k2") + 1] ^= 1
    log.write_bytes(data)
    status, _, err = run_once(args(store.data_dir))
    assert status == 2
    assert len(err.splitlines()) == 1
    assert f"{log} is damaged at offset " in err
    assert "--repair" in err
    again = new_store(args=["--repair"])
    assert "writes after index 2 are lost" in again.output
    replies = [again.ask(f"GET k{number}") for number in (1, 2, 4)]
    assert replies == ["VALUE 1", "NOT_FOUND", "NOT_FOUND"]
