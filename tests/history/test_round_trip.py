"""What is written and read again gets the same verdict of every check, in each format."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.report import to_json
from kvsim.history import binary_file, formats
from kvsim.history.formats import kvsim_jsonl
from kvsim.history.history import FinalRead, History, RoleSample
from kvsim.history.operations import KINDS, Operations

VALUES = st.none() | st.sampled_from(["", "a", "b", "1", '"1"', "nil", "ü\n"])
ROWS = st.tuples(
    st.integers(0, 20),
    st.integers(0, 6),
    st.integers(0, 2),
    st.sampled_from(["k", ""]),
    st.sampled_from([kind for kind in KINDS if kind != "append"]),
    VALUES,
    VALUES,
    st.sampled_from(["ok", "ok", "ok", "refused", "unknown"]),
    st.sampled_from([None, "n1", "n2"]),
)
GUARANTEES = {"leader_reads": "linearizable", "follower_reads": "prefix"}


@st.composite
def histories(draw: st.DrawFn) -> History:
    operations = Operations()
    for call, length, process, key, kind, value, expected, outcome, node in draw(
        st.lists(ROWS, max_size=8)
    ):
        written = value if value is not None or kind not in ("put", "cas") else "a"
        operations.add(
            call,
            call + length,
            process,
            key,
            kind,
            written,
            expected=expected,
            outcome=outcome,
            node=node,
        )
    log = draw(st.none() | st.lists(st.tuples(st.just("k"), VALUES), max_size=4).map(tuple))
    return History(
        operations,
        samples=draw(st.sampled_from([(), (RoleSample(0, "n1", "leader", 1),)])),
        finals=draw(st.sampled_from([(), (FinalRead("n1", "k", "a", 30),)])),
        leader_log=log,
        initial=draw(st.sampled_from([{}, {"k": "a"}])),
    )


def verdicts(history: History) -> dict:
    report = to_json(check(history, GUARANTEES))
    return {**report, "origin": ""}


@given(histories())
def test_the_same_verdict(tmp_path_factory, history: History) -> None:
    expected = verdicts(history)
    lines = "".join(line + "\n" for line in kvsim_jsonl.write(history)).encode()
    name, again = formats.read_open(None, io.BufferedReader(io.BytesIO(lines)), "h")
    assert name == "kvsim-jsonl" and verdicts(again) == expected
    path: Path = tmp_path_factory.getbasetemp() / "h.bin"
    binary_file.save(history, path)
    name, again = formats.read_guessed(path)
    assert name == "kvsim" and verdicts(again) == expected


# One history in each text format of other tools, with a stale read of each kind of value.
FOREIGN = {
    "jepsen-edn": """
        {:process 0, :type :invoke, :f :write, :value ["k" {:a #{1 2}}]}
        {:process 0, :type :ok, :f :write, :value ["k" {:a #{2 1}}]}
        {:process 1, :type :invoke, :f :cas, :value ["k" [{:a #{1 2}} VALUE]]}
        {:process 1, :type :info, :f :cas, :value ["k" [{:a #{1 2}} VALUE]]}
        {:process 0, :type :invoke, :f :read, :value ["k" nil]}
        {:process 0, :type :ok, :f :read, :value ["k" READ]}""",
    "jepsen-log": """
        INFO jepsen.util - 0\t:invoke\t:write\t1/2
        INFO jepsen.util - 0\t:ok\t:write\t1/2
        INFO jepsen.util - 1\t:invoke\t:write\tVALUE
        INFO jepsen.util - 1\t:info\t:write\tVALUE\t:timeout
        INFO jepsen.util - 0\t:invoke\t:read\tnil
        INFO jepsen.util - 0\t:ok\t:read\tREAD""",
    "porcupine-jsonl": """
        {"ClientId":7,"Input":{"op":1,"key":1,"value":VALUE},"Call":1,"Output":{},"Return":2}
        {"ClientId":7,"Input":{"op":1,"key":"1","value":2},"Call":1,"Output":null,"Return":null}
        {"ClientId":8,"Input":{"op":0,"key":1},"Call":3,"Output":{"value":READ},"Return":4}""",
}
LITERALS = st.sampled_from(["1", '"1"', "true", '"true"', '""', '"a b"', "12345678901234567890123"])


@given(st.sampled_from(sorted(FOREIGN)), LITERALS, LITERALS)
def test_what_is_exported_from_another_format_gets_the_same_verdict(
    name: str, value: str, read: str
) -> None:
    text = FOREIGN[name].replace("VALUE", value).replace("READ", read)
    lines = "".join(line.strip() + "\n" for line in text.strip().split("\n")).encode()
    found, history = formats.read_open(None, io.BufferedReader(io.BytesIO(lines)), "h")
    assert found == name
    exported = "".join(line + "\n" for line in kvsim_jsonl.write(history)).encode()
    again = formats.read_open(None, io.BufferedReader(io.BytesIO(exported)), "h")[1]
    assert verdicts(again) == verdicts(history)
    expected = "pass" if value == read else "fail"
    assert verdicts(again)["checks"][0]["verdict"] == expected
