"""Histories of other tools: their shapes, their outcomes, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvsim.errors import UsageError
from kvsim.history import formats
from kvsim.history.edn import EdnError, values
from kvsim.history.foreign import FormatError
from kvsim.history.jepsen import read_edn, read_log
from kvsim.history.operations import Operations
from kvsim.history.porcupine import read_json_lines

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


def rows(operations: Operations) -> list[tuple]:
    return [
        (one.process, one.key, one.kind, one.value, one.expected, one.outcome, one.call_ns, one.return_ns)
        for one in operations
    ]


def test_independent_registers_of_jepsen() -> None:
    assert rows(read_edn(INDEPENDENT)) == [
        (0, "0", "put", "3", None, "ok", 10, 20),
        (1, "0", "get", "3", None, "ok", 11, 21),
        (1, "1", "cas", "4", None, "unknown", 30, 41),
        (0, "0", "cas", "5", "3", "refused", 31, 40),
    ]


def test_tagged_records_one_a_line_are_the_same() -> None:
    lines = [line.strip(" []") for line in INDEPENDENT.splitlines() if "{" in line]
    text = "\n".join("#jepsen.history.Op" + line for line in lines)
    text = text.replace("[nil 4", "[nil 4]]").replace("[3 5", "[3 5]]") if "]]" not in text else text
    assert rows(read_edn(text)) == rows(read_edn(INDEPENDENT))


def test_one_register_without_keys_and_times() -> None:
    text = """
    {:process 0, :type :invoke, :f :write, :value 1}
    {:process 1, :type :invoke, :f :cas, :value [1 2]}
    {:process 0, :type :ok, :f :write, :value 1}
    {:process 1, :type :ok, :f :cas, :value [1 2]}
    {:process 0, :type :invoke, :f :read, :value nil}
    """
    assert rows(read_edn(text)) == [
        (0, "register", "put", "1", None, "ok", 1, 3),
        (1, "register", "cas", "2", "1", "ok", 2, 4),
        (0, "register", "get", None, None, "unknown", 5, None),
    ]


def test_the_key_value_shape_with_appends() -> None:
    text = """{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 y"}
{:process 1, :type :invoke, :f :get, :key "0", :value nil}
{:process 1, :type :ok, :f :get, :key "0", :value ""}
{:process 9, :type :ok, :f :append, :key "0", :value "x 9 y"}"""
    assert rows(read_edn(text)) == [
        (0, "0", "append", "x 9 y", None, "ok", 1, 4),
        (1, "0", "get", None, None, "ok", 2, 3),
    ]


def test_the_older_log_knows_failed_compare_and_sets() -> None:
    text = (
        "INFO  jepsen.util - 0\t:invoke\t:write\t2\nnoise\n"
        "INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 0\t:info\t:write\t:timed-out\n"
        "INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]\n"
        "INFO  jepsen.util - 1\t:invoke\t:read\tnil\n"
        "INFO  jepsen.util - 1\t:fail\t:read\t:timed-out\n"
    )
    found = [(one.kind, one.value, one.expected, one.outcome) for one in read_log(text)]
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


def test_operations_of_porcupine() -> None:
    assert rows(read_json_lines(PORCUPINE)) == [
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
        etcd('{"Type":"range","Range":{"Start":"k","End":""}}', '{"Range":{"KVs":[],"Count":0},"Error":""}')
        + etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT}]}}}}', '{"Txn":{},"Error":""}')
        + etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT}]}}}}', '{"Error":"timed out"}')
        + etcd(
            '{"Type":"range","Range":{"Start":"k","End":""}}',
            '{"Range":{"KVs":[{"Key":"k","Value":{"Value":"v"}}]}}',
        )
        + etcd('{"Type":"range","Range":{"Start":"k","End":"l"}}', '{"Range":{"KVs":[]}}')
        + etcd('{"Type":"defragment","Defragment":{}}', '{"Defragment":{}}')
    )
    found = [(one.kind, one.value, one.outcome) for one in read_json_lines(text)]
    assert found == [("get", None, "ok"), ("put", "v", "ok"), ("put", "v", "unknown"), ("get", "v", "ok")]


WRONG = [
    (read_edn, "{:process 0, :type :ok, :f :read, :value 1}", 1, "ends an operation that it did not begin"),
    (read_edn, "\n{:process 0, :type :invoke, :f :enqueue, :value 1}", 2, "not an operation on a register"),
    (read_edn, "{:process 0, :type :maybe, :f :read, :value 1}", 1, ":maybe is not a type"),
    (read_edn, "[{:process 0", 1, "is never closed"),
    (read_edn, "{:process 0 :type :invoke :f :read}}", 1, "closes nothing"),
    (read_edn, "{:a}", 1, "a key without a value"),
    (read_edn, "17", 1, "not an operation"),
    (
        read_edn,
        "{:process 0 :type :invoke :f :read :value nil}\n{:process 0 :type :invoke :f :read :value nil}",
        2,
        "before its last one has ended",
    ),
    (
        read_edn,
        "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :read :value 1}",
        2,
        "began put 'register' but ends get",
    ),
    (read_log, "INFO  jepsen.util - 0\t:ok\t:write\t2", 1, "did not begin"),
    (read_json_lines, PORCUPINE + "{", 5, "not JSON"),
    (read_json_lines, '{"Input":{},"Call":1}', 1, "has ClientId, Input, Call, Output and Return"),
    (read_json_lines, PORCUPINE.replace('"op":1', '"op":9'), 1, "op 9 is not known"),
    (read_json_lines, etcd('{"Type":"leaseRevoke"}', "{}"), 1, "may delete keys"),
    (
        read_json_lines,
        etcd(f'{{"Type":"txn","Txn":{{"OperationsOnSuccess":[{PUT},{PUT}]}}}}', "{}"),
        1,
        "not on one register",
    ),
    (formats.FORMATS["kvsim-jsonl"], '{"call_ns": 5}', 1, "not an operation of a kvsim export"),
]


@pytest.mark.parametrize(("reader", "text", "line", "said"), WRONG)
def test_errors_name_file_and_line(reader, text: str, line: int, said: str) -> None:
    with pytest.raises(FormatError, match=rf"^h:{line}: .*{said}"):
        reader(text, "h")


def test_edn_reads_what_histories_hold() -> None:
    text = '; comment\n#{1 2} (a b) "x\\"\\n" -3 4N nil true :k [1 [2]] {"k" #inst "t"}'
    assert [value for _, value in values(text)] == [
        [1, 2],
        ["a", "b"],
        'x"\n',
        -3,
        4,
        None,
        True,
        ":k",
        [1, [2]],
        {"k": "t"},
    ]
    with pytest.raises(EdnError, match="line 2"):
        list(values('\n"open'))


def test_an_unknown_format_and_a_bad_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="there is no format 'x'; formats are kvsim, kvsim-jsonl, jepsen-edn"
    ):
        formats.read("x", tmp_path / "h")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        formats.read("jepsen-edn", tmp_path / "h")
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        formats.read("kvsim", tmp_path / "h")
    (tmp_path / "h").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not text in UTF-8"):
        formats.read("jepsen-edn", tmp_path / "h")
