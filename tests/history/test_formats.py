"""Histories of other tools: their operations, their outcomes, and errors with the line."""

from __future__ import annotations

import json
import sys
from itertools import cycle
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import UsageError
from kvsim.history import formats
from kvsim.history.formats import jepsen_edn, jepsen_log, kvsim_jsonl, porcupine_jsonl
from kvsim.history.history import History
from kvsim.history.operations import Operations
from kvsim.history.pairing import FormatError

INDEPENDENT = """
[{:type :invoke, :f :write, :value [0 3], :process 0, :time 10, :index 0}
 {:type :invoke, :f :read, :value [0 nil], :process 1, :time 11, :index 1}
 {:type :info, :f :start, :value nil, :process :nemesis, :time 12, :index 2}
 {:type :ok, :f :write, :value [0 3], :process 0, :time 20, :index 3}
 {:type :ok, :f :read, :value [0 3], :process 1, :time 21, :index 4}
 {:type :invoke, :f :cas, :value [1 [nil 4]], :process 1, :time 30, :index 5}
 {:type :invoke, :f :cas, :value [0 [3 5]], :process 0, :time 31, :index 6}
 {:type :fail, :f :cas, :value [0 [3 5]], :process 0, :time 40, :index 7, :error "nope"}
 {:type :info, :f :cas, :value [1 [nil 4]], :process 1, :time 41, :index 8, :error :timeout}]
"""


def read(reader: ModuleType, text: str) -> Operations:
    found = reader.read(text.splitlines(keepends=True), "h")
    return found.operations if isinstance(found, History) else found


def rows(operations: Operations) -> list[tuple]:
    return [
        (
            operation.process,
            operation.key,
            operation.kind,
            operation.value,
            operation.expected,
            operation.outcome,
            operation.call_ns,
            operation.return_ns,
        )
        for operation in operations
    ]


def test_independent_registers_of_jepsen() -> None:
    assert rows(read(jepsen_edn, INDEPENDENT)) == [
        (0, "0", "put", "3", None, "ok", 10, 20),
        (1, "0", "get", "3", None, "ok", 11, 21),
        (1, "1", "cas", "4", None, "unknown", 30, 41),
        (0, "0", "cas", "5", "3", "refused", 31, 40),
    ]


def test_tagged_maps_on_separate_lines_are_equal() -> None:
    lines = [line.strip(" []") for line in INDEPENDENT.splitlines() if "{" in line]
    text = "\n".join("#jepsen.history.Op" + line for line in lines)
    text = (
        text.replace("[nil 4", "[nil 4]]").replace("[3 5", "[3 5]]") if "]]" not in text else text
    )
    assert rows(read(jepsen_edn, text)) == rows(read(jepsen_edn, INDEPENDENT))


def test_one_register_without_keys_and_times() -> None:
    text = """
    {:process 0, :type :invoke, :f :write, :value 1}
    {:process 1, :type :invoke, :f :cas, :value [1 2]}
    {:process 0, :type :ok, :f :write, :value 1}
    {:process 1, :type :ok, :f :cas, :value [1 2]}
    {:process 0, :type :invoke, :f :read, :value nil}
    """
    assert rows(read(jepsen_edn, text)) == [
        (0, "register", "put", "1", None, "ok", 1, 3),
        (1, "register", "cas", "2", "1", "ok", 2, 4),
        (0, "register", "get", None, None, "unknown", 5, None),
    ]


def test_the_key_value_form_with_appends() -> None:
    text = """{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 y"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
{:process 9, :type :ok, :f :append, :key "0", :value "x 9 y"}"""
    assert rows(read(jepsen_edn, text)) == [
        (0, "0", "append", "x 9 y", None, "ok", 1, 4),
        (1, "0", "get", None, None, "ok", 2, 3),
    ]


def test_failed_compare_and_sets_of_the_older_log() -> None:
    text = (
        "INFO  jepsen.util - 0\t:invoke\t:write\t2\nnoise\n"
        "INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n"
        "INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 1\t:invoke\t:read\tnil\n"
        "INFO  jepsen.util - 1\t:fail\t:read\t:timed-out\n"
    )
    found = [
        (operation.kind, operation.value, operation.expected, operation.outcome)
        for operation in read(jepsen_log, text)
    ]
    assert found == [
        ("put", "2", None, "unknown"),
        ("cas_missed", "4", "3", "ok"),
        ("get", None, None, "refused"),
    ]


PORCUPINE = (
    '{"ClientId":3,"Input":{"op":1,"key":"k","value":"v"},"Call":10,"Output":{"value":""},"Return":20}\n'
    '{"clientId":4,"input":{"op":0,"key":"k"},"call":11,"output":{"value":"v"},"return":21}\n'
    '{"ClientId":4,"Input":{"op":"get","key":"z"},"Call":22,"Output":{"value":""},"Return":23}\n'
    '{"ClientId":3,"Input":{"op":2,"key":"k","value":"w"},"Call":30,"Output":null,"Return":null}\n'
)


def porcupine(op: object, value: object, output: object, returned: object) -> dict[str, object]:
    request = {"op": op, "key": "k", "value": value}
    return {"ClientId": 0, "Input": request, "Call": 1, "Output": output, "Return": returned}


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (False, "false"), (None, "")])
def test_a_value_of_porcupine_that_is_not_true_is_a_value(value: object, shown: str) -> None:
    """Also where the whole batch holds no other value."""
    entries = [porcupine(1, value, {"value": ""}, 2), porcupine(0, "", {"value": value}, 2)]
    found = read(porcupine_jsonl, "\n".join(map(json.dumps, entries)))
    assert [row.value for row in found] == [shown, shown]


ANSWERS = st.none() | st.builds(dict, value=st.sampled_from(["", "a", "b", None]))
NAMES = ("ClientId", "clientid", "CLIENTID")
PORCUPINE_ENTRIES = st.builds(
    porcupine,
    st.sampled_from([0, 1, "get", "put"]),
    st.sampled_from(["", "a", "b", None]),
    ANSWERS,
    st.sampled_from([None, 1, 2]),
)


@given(st.lists(PORCUPINE_ENTRIES, min_size=1, max_size=6))
def test_operations_of_porcupine_in_a_batch_are_those_one_by_one(entries: list[dict]) -> None:
    lines = [json.dumps(entry) for entry in entries]
    # Fields whose case differs between the lines are read one by one.
    slow = [line.replace('"ClientId"', f'"{name}"') for name, line in zip(cycle(NAMES), lines)]
    assert rows(read(porcupine_jsonl, "\n".join(lines))) == rows(
        read(porcupine_jsonl, "\n".join(slow))
    )


def test_operations_of_porcupine() -> None:
    assert rows(read(porcupine_jsonl, PORCUPINE)) == [
        (3, "k", "put", "v", None, "ok", 10, 20),
        (4, "k", "get", "v", None, "ok", 11, 21),
        (4, "z", "get", None, None, "ok", 22, 23),
        (3, "k", "append", "w", None, "unknown", 30, None),
    ]


def etcd(input_: str, output: str) -> str:
    return f'{{"ClientId":1,"Input":{input_},"Call":1,"Output":{output},"Return":2}}\n'


PUT = '{"Type":"put-operation","Put":{"Key":"k","Value":{"Value":"v"}}}'


def test_operations_of_etcd() -> None:
    text = (
        etcd(
            '{"Type":"range","Range":{"Start":"k","End":""}}',
            '{"Range":{"KVs":[],"Count":0},"Error":""}',
        )
        + etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT}]}}}}', '{"Txn":{},"Error":""}')
        + etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT}]}}}}', '{"Error":"timed out"}')
        + etcd(
            '{"Type":"range","Range":{"Start":"k","End":""}}',
            '{"Range":{"KVs":[{"Key":"k","Value":{"Value":"v"}}]}}',
        )
        + etcd('{"Type":"range","Range":{"Start":"k","End":"l"}}', '{"Range":{"KVs":[]}}')
        + etcd('{"Type":"defragment","Defragment":{}}', '{"Defragment":{}}')
    )
    found = [
        (operation.kind, operation.value, operation.outcome)
        for operation in read(porcupine_jsonl, text)
    ]
    assert found == [
        ("get", None, "ok"),
        ("put", "v", "ok"),
        ("put", "v", "unknown"),
        ("get", "v", "ok"),
    ]


WRONG = [
    (
        jepsen_edn,
        "{:process 0, :type :ok, :f :read, :value 1}",
        1,
        "ends an operation that it did not begin",
    ),
    (
        jepsen_edn,
        "\n{:process 0, :type :invoke, :f :enqueue, :value 1}",
        2,
        "not an operation on a register",
    ),
    (jepsen_edn, "{:process 0, :type :maybe, :f :read, :value 1}", 1, ":maybe is not a type"),
    (jepsen_edn, "[{:process 0", 1, "is never closed"),
    (jepsen_edn, "{:process 0 :type :invoke :f :read}}", 1, "closes nothing"),
    (jepsen_edn, "{:a}", 1, "a key without a value"),
    (jepsen_edn, "17", 1, "not an operation"),
    (
        jepsen_edn,
        "{:process 0 :type :invoke :f :read :value nil}\n" * 2,
        2,
        "before its last one has ended",
    ),
    (
        jepsen_edn,
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :read :value 1}",
        2,
        "began put 'register' but ends get",
    ),
    (jepsen_log, "INFO  jepsen.util - 0\t:ok\t:write\t2", 1, "did not begin"),
    (porcupine_jsonl, PORCUPINE + "{", 5, "not JSON"),
    (
        porcupine_jsonl,
        '{"Input":{},"Call":1}',
        1,
        "has ClientId, Input, Call, Output and Return",
    ),
    (porcupine_jsonl, PORCUPINE.replace('"op":1', '"op":9'), 1, "op 9 is not known"),
    (porcupine_jsonl, etcd('{"Type":"leaseRevoke"}', "{}"), 1, "may delete keys"),
    (
        porcupine_jsonl,
        etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT},{PUT}]}}}}', "{}"),
        1,
        "not on one register",
    ),
    (kvsim_jsonl, '{"call_ns": 5}', 1, "not an operation of a kvsim export: it has no 'return_ns'"),
]


@pytest.mark.parametrize(("reader", "text", "line", "message"), WRONG)
def test_errors_name_file_and_line(reader, text: str, line: int, message: str) -> None:
    with pytest.raises(FormatError, match=rf"^h:{line}: .*{message}"):
        read(reader, text)


def test_an_unknown_format_and_a_bad_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match="there is no format 'x'; formats are kvsim, jepsen-edn, jepsen-log, jepsen-test",
    ):
        formats.read("x", tmp_path / "h")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        formats.read("jepsen-edn", tmp_path / "h")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        formats.read("kvsim", tmp_path / "h")
    (tmp_path / "h").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        formats.read("jepsen-edn", tmp_path / "h")


def test_a_new_file_is_a_new_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_format.py").write_text(
        "from kvsim.history.operations import Operations\n"
        "def read(lines, file):\n"
        "    operations = Operations()\n"
        "    operations.add(1, 2, 0, next(lines).strip(), 'get')\n"
        "    return operations\n"
    )
    (tmp_path / "h").write_text("k\n")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    assert "my-format" in formats.names()
    history = formats.read("my-format", tmp_path / "h")
    sys.modules.pop("kvsim.history.formats.my_format")
    assert [operation.key for operation in history.operations] == ["k"]
