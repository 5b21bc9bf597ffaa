"""The environment of a node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.process.environment import ProcessTag, clean_environment

TAG = ProcessTag("run", "n1")


def test_small_and_the_same_everywhere() -> None:
    found = clean_environment(
        TAG,
        base={"PATH": "/bin", "HOME": "/root", "LANG": "de_DE", "EDITOR": "vi", "PYTHONPATH": "x"},
    )
    assert (found["PATH"], found["HOME"], found["LC_ALL"], found["TZ"]) == (
        "/bin",
        "/root",
        "C.UTF-8",
        "UTC",
    )
    assert found["PYTHONUNBUFFERED"] == "1"
    assert not {"EDITOR", "PYTHONPATH"} & found.keys()


def test_the_tag_is_in_it_and_cannot_be_overwritten() -> None:
    found = clean_environment(
        TAG, {"KVSIM_RUN": "forged"}, base={"KVSIM_RUN": "outer", "KVSIM_NODE": "n9"}
    )
    assert (found["KVSIM_RUN"], found["KVSIM_NODE"]) == ("run", "n1")
    assert ProcessTag("run").variables() == {"KVSIM_RUN": "run"}


def test_what_the_user_wrote_wins() -> None:
    found = clean_environment(
        TAG, {"TZ": "Europe/Berlin", "DB_PASSWORD": "written on purpose"}, base={}
    )
    assert (found["TZ"], found["DB_PASSWORD"]) == ("Europe/Berlin", "written on purpose")


@pytest.mark.parametrize(
    "name",
    [
        "AWS_REGION",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "PGPASSWORD",
        "MY_API_KEY",
        "CI_JOB_ID",
        "Client_Secret",
    ],
)
def test_secrets_are_not_passed_on(name: str) -> None:
    found = clean_environment(TAG, inherit=True, base={name: "hush", "EDITOR": "vi"})
    assert name not in found
    assert found["EDITOR"] == "vi"


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8)))
def test_nothing_unknown_slips_through(base: dict[str, str]) -> None:
    known = set(clean_environment(TAG, base={})) | {
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "JAVA_HOME",
    }
    assert set(clean_environment(TAG, base=base)) <= known | {"GOCOVERDIR"}
