"""Where runs are recorded, and which run a command means that names none."""

from __future__ import annotations

import shutil

import pytest

from kvsim.cli.arguments import chosen_run
from kvsim.errors import UsageError
from kvsim.run_directory import (
    GROWING,
    RunDirectory,
    load_name,
    new_run,
    remove_folder,
    runs_folder,
)


def test_runs_are_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs_folder() == tmp_path / "runs"
    assert runs_folder(tmp_path / "elsewhere") == tmp_path / "elsewhere"


def test_a_command_without_a_run_means_the_newest_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    new_run(runs_folder(), "first")
    newest = new_run(runs_folder(), "second")
    assert chosen_run(None).resolve() == newest.path
    assert capsys.readouterr().err == f"the newest run: runs/{newest.path.name}\n"


def test_a_run_that_was_named_is_taken_silently(tmp_path, capsys):
    assert chosen_run(tmp_path) == tmp_path
    assert capsys.readouterr().err == ""


def test_where_there_is_no_run_the_message_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no run in .*runs yet: .*kvsim run SCENARIO"):
        chosen_run(None)


def test_the_load_of_a_file_is_its_name_whole_or_cut(tmp_path):
    run = RunDirectory(tmp_path)
    whole, cut = run.load("a.b"), run.load("w")
    whole.parent.mkdir()
    whole.touch()
    cut.with_name(f"{cut.name}{GROWING}").touch()
    assert [load_name(path) for path in run.loads] == ["a.b", "w"]


def test_a_folder_without_the_right_to_write_is_removed(tmp_path):
    folder = tmp_path / "data"
    (folder / "sealed" / "inner").mkdir(parents=True)
    (folder / "sealed" / "inner" / "log").write_text("x")
    (folder / "sealed" / "inner").chmod(0o500)
    (folder / "sealed").chmod(0)
    remove_folder(folder)
    assert not folder.exists()


def test_a_folder_in_which_a_process_still_writes_is_removed(tmp_path, monkeypatch):
    folder, rmtree = tmp_path / "data", shutil.rmtree

    def remove_and_write_again(path, onerror):
        rmtree(path, onerror=onerror)
        monkeypatch.undo()
        folder.mkdir()

    folder.mkdir()
    monkeypatch.setattr(shutil, "rmtree", remove_and_write_again)
    remove_folder(folder)
    assert not folder.exists()


def test_what_is_behind_a_link_in_a_removed_folder_stays(tmp_path):
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir(mode=0o755)
    (folder / "link").symlink_to(elsewhere)
    folder.chmod(0o500)
    remove_folder(folder)
    assert not folder.exists()
    assert elsewhere.stat().st_mode & 0o777 == 0o755
