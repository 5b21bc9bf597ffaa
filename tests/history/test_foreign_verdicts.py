"""Histories of other tools get the verdict that their own meaning gives them.

Each case is a way in which a reader can be wrong: what is read is judged, and the verdict shows it.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.consistency.written_values import read_values_were_written
from kvsim.checks.verdict import Verdict
from kvsim.history import binary_file, formats
from kvsim.history.history import History
from kvsim.history.pairing import FormatError


def history(folder: Path, text: str) -> tuple[str, History]:
    path = folder / "history"
    path.write_text(text, encoding="utf-8")
    return formats.read_guessed(path)


def judge(folder: Path, text: str) -> tuple[str, bool]:
    name, found = history(folder, text)
    verdict = linearizable(found).verdict
    assert verdict in (Verdict.PASS, Verdict.FAIL)
    return name, verdict is Verdict.PASS


def edn(written: str, read: str, *more: str) -> str:
    """A write and a read of one register; `more` are (written, …) before the read."""
    events = []
    for value in (written, *more):
        events += [f":type :invoke :f :write :value {value}", f":type :ok :f :write :value {value}"]
    events += [":type :invoke :f :read :value nil", f":type :ok :f :read :value {read}"]
    return "".join(f"{{:process 0 {event}}}\n" for event in events)


@pytest.mark.parametrize(
    ("written", "read", "same"),
    [
        ("1", "1", True),
        ("1", '"1"', False),
        ("true", '"true"', False),
        ("true", "true", True),
        (":a", '":a"', False),
        ("1", "1N", True),
        ("1", "1.0", False),
        ("nil", "nil", True),
        ('"nil"', "nil", False),
        ('"\\u0041"', '"A"', True),
        ("{:a 1 :b 2}", "{:b 2, :a 1}", True),
        ("{:a 1}", '{":a" 1}', False),
        ("#{1 2}", "#{2 1}", True),
        ("[1 2 3]", "(1 2 3)", True),
        ("[1 2 3]", "[1 2 4]", False),
        ("\\a", '"a"', False),
        ("1/2", "2/4", True),
        ("99999999999999999999", "99999999999999999999N", True),
        ('""', '""', True),
        ('""', "nil", False),
        ("010", "8", True),
        ("010", "10", False),
        ("2r101", "0x5", True),
        ("1.0M", "1.00M", True),
        ("1M", "1", False),
        ("-0.0", "0.0", True),
    ],
)
def test_values_of_edn(tmp_path: Path, written: str, read: str, same: bool) -> None:
    assert judge(tmp_path, edn(written, read)) == ("jepsen-edn", same)


def test_an_empty_value_replaces_another_one(tmp_path: Path) -> None:
    assert judge(tmp_path, edn('"a"', '""', '""'))[1]
    assert not judge(tmp_path, edn('"a"', '"a"', '""'))[1]


@pytest.mark.parametrize("brackets", ["()", "[]", ("#jepsen.history.History [", "]"), ("", "")])
def test_operations_at_the_top_and_in_a_collection(tmp_path: Path, brackets: str) -> None:
    for read, passes in (("1", True), ("2", False)):
        text = f"{brackets[0] if brackets else ''}{edn('1', read)}{brackets[1] if brackets else ''}"
        assert judge(tmp_path, text) == ("jepsen-edn", passes)


def test_forms_around_the_operations(tmp_path: Path) -> None:
    text = edn("1", "1").replace(
        ":type :invoke :f :read", ":error #:a{:b 1} :type :invoke :f :read"
    )
    assert judge(tmp_path, f"; a comment\n[#_{{:x 1}} ^{{:m 1}} {text[:-1]}]")[1]


PREFIXES = {
    "old": "INFO  jepsen.util - ",
    "console": "INFO [2024-01-01 12:00:00,123] jepsen worker 0 - jepsen.util ",
    "file": "2024-01-01 12:00:00,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: ",
    "history.txt": "",
}


def log(prefix: str, *events: str) -> str:
    noise = "INFO [2024] main - jepsen.cli starting\n:nemesis\t:info\t:start\tnil\n"
    return noise + "".join(prefix + event.replace(" ", "\t", 3) + "\n" for event in events)


WRITE_1 = ("0 :invoke :write 1", "0 :ok :write 1")


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_lines_of_jepsens_logs(tmp_path: Path, prefix: str) -> None:
    for read, passes in (("1", True), ("7", False)):
        text = log(prefix, *WRITE_1, "1 :invoke :read nil", f"1 :ok :read {read}")
        assert judge(tmp_path, text) == ("jepsen-log", passes)


def test_a_compare_and_set_that_failed_with_an_error_is_no_mismatch(tmp_path: Path) -> None:
    read = ("0 :invoke :read nil", "0 :ok :read 1")
    for error, passes in (("", False), ("\t:no-leader", True)):
        cas = ("1 :invoke :cas [1 2]", f"1 :fail :cas [1 2]{error}")
        assert judge(tmp_path, log("", *WRITE_1, *cas, *read)) == ("jepsen-log", passes)
    # An error may stand in place of the value, and may be anything.
    for place in (":timed-out", 'Exception: "oops'):
        cas = ("1 :invoke :cas [1 2]", f"1 :fail :cas {place}")
        assert judge(tmp_path, log("", *WRITE_1, *cas, *read))[1]


def test_numbers_of_logs_are_those_of_clojure(tmp_path: Path) -> None:
    for read, passes in (("8", True), ("10", False)):
        events = ("0 :invoke :write 010", "0 :ok :write 8")
        text = log("", *events, "0 :invoke :read nil", f"0 :ok :read {read}")
        assert judge(tmp_path, text) == ("jepsen-log", passes)


def test_values_of_invocations_that_were_completed_later(tmp_path: Path) -> None:
    """Knossos writes what a read returned into its invocation, too."""
    for read, passes in (("1", True), ("2", False)):
        text = edn("1", read).replace(":value nil", f":value {read}")
        assert judge(tmp_path, text) == ("jepsen-edn", passes)
    assert judge(tmp_path, edn("1", "1").replace(":ok :f :write :value 1", ":ok :f :write"))[1]


def porcupine(*operations: str) -> str:
    lines = []
    for number, operation in enumerate(operations):
        request, _, output = operation.partition(" -> ")
        times = f'"Call":{10 * number},"Output":{output or "null"}'
        returned = 10 * number + 5 if output else "null"
        lines.append(f'{{"ClientId":0,"Input":{request},{times},"Return":{returned}}}')
    return "".join(line + "\n" for line in lines)


PUT_A = '{"op":1,"key":"k","value":"a"} -> {"value":""}'
PUT_EMPTY = '{"op":1,"key":"k","value":""} -> {"value":""}'
GET = '{"op":0,"key":"k"} -> {"value":%s}'
DELETE = '{"op":"delete","key":"k","value":""}'


@pytest.mark.parametrize(
    ("operations", "passes"),
    [
        ([PUT_EMPTY, GET % '""'], True),
        ([PUT_A, PUT_EMPTY, GET % '""'], True),
        ([PUT_A, PUT_EMPTY, GET % '"a"'], False),
        ([PUT_A, GET % '""'], False),
        ([GET % '""', PUT_A, GET % '"a"'], True),
        ([PUT_A, DELETE, GET % '""'], True),
        ([PUT_A, DELETE + ' -> {"value":""}', GET % '"a"'], False),
        ([PUT_EMPTY, PUT_A, DELETE, GET % '""'], True),
        ([PUT_A.replace('"a"', "1"), GET % "1"], True),
        ([PUT_A.replace('"a"', "1"), GET % "1.0"], True),
        ([PUT_A.replace('"a"', "1"), GET % '"1"'], False),
        ([PUT_A.replace('"a"', "true"), GET % '"true"'], False),
        (['{"op":2,"key":"k","value":"b"} -> {}', GET % '"b"'], True),
        ([PUT_A, '{"op":2,"key":"k","value":"b"} -> {}', GET % '"ab"'], True),
        ([PUT_EMPTY, '{"op":2,"key":"k","value":""} -> {}', GET % '""'], True),
    ],
)
def test_porcupines_key_value_model(tmp_path: Path, operations: list[str], passes: bool) -> None:
    assert judge(tmp_path, porcupine(*operations)) == ("porcupine-jsonl", passes)


def test_an_array_is_read_as_lines_are(tmp_path: Path) -> None:
    lines = porcupine(PUT_A, GET % '"b"').splitlines()
    for separator in (",", ",\n", " , \n\n  "):
        assert judge(tmp_path, f"\n [{separator.join(lines)} ]\n") == ("porcupine-jsonl", False)
    with pytest.raises(FormatError, match=r"history:3: not JSON"):
        history(tmp_path, f"[{lines[0]},\n\n{{]")
    with pytest.raises(FormatError, match="a comma or the end of the array is missing"):
        history(tmp_path, f"[{lines[0]} {lines[1]}]")


def put(value: str, version: int, err: str) -> str:
    request = f'{{"Op":1,"Key":"k","Value":"{value}","Version":{version}}}'
    return f'{request} -> {{"Value":"","Version":0,"Err":"{err}"}}'


def get(value: str, version: int, err: str = "OK") -> str:
    return f'{{"Op":0,"Key":"k"}} -> {{"Value":"{value}","Version":{version},"Err":"{err}"}}'


@pytest.mark.parametrize(
    ("operations", "passes"),
    [
        ([put("a", 0, "OK"), put("b", 0, "ErrVersion"), get("a", 1)], True),
        ([put("a", 0, "OK"), put("b", 0, "OK"), get("b", 1)], False),
        ([put("a", 0, "OK"), put("b", 1, "OK"), get("b", 2)], True),
        ([put("a", 0, "OK"), put("b", 1, "OK"), get("a", 1)], False),
        ([put("a", 0, "OK"), get("a", 2)], False),
        ([put("a", 0, "OK"), put("b", 1, "ErrVersion")], False),
        ([put("a", 0, "OK"), put("b", 2, "ErrVersion")], True),
        # The value may be there or not; a second put with the same version can not, if it was.
        ([put("a", 0, "ErrMaybe"), get("a", 1)], True),
        ([put("a", 0, "ErrMaybe"), get("", 0, "ErrNoKey")], True),
        ([put("a", 0, "ErrMaybe"), put("b", 0, "OK"), get("a", 1)], False),
        ([put("a", 0, "ErrMaybe"), put("c", 1, "OK"), get("c", 2)], True),
        ([put("a", 0, "ErrMaybe"), put("b", 0, "ErrMaybe"), put("c", 1, "OK"), get("b", 1)], False),
        ([get("", 0, "ErrNoKey"), put("a", 0, "OK"), get("", 0, "ErrNoKey")], False),
        ([put("a", 3, "ErrNoKey"), put("a", 0, "OK")], True),
        ([put("a", 0, "OK"), put("a", 3, "ErrNoKey")], False),
        ([put("a", 0, "OK"), '{"Op":1,"Key":"k","Value":"b","Version":1}', get("b", 2)], True),
    ],
)
def test_versioned_puts(tmp_path: Path, operations: list[str], passes: bool) -> None:
    assert judge(tmp_path, porcupine(*operations)) == ("porcupine-jsonl", passes)


def etcd(kind: str, fields: str, response: str) -> str:
    return f'{{"Type":"{kind}",{fields}}} -> {response}'


def etcd_put(value: str) -> str:
    step = f'{{"Type":"put-operation","Put":{{"Key":"k","Value":{value}}}}}'
    return etcd("txn", f'"Txn":{{"OperationsOnSuccess":[{step}]}}', '{"Txn":{}}')


def etcd_range(found: str, more: str = "") -> str:
    return etcd("range", '"Range":{"Start":"k"}', f'{{"Range":{{"KVs":[{found}]}}{more}}}')


@pytest.mark.parametrize(
    ("operations", "passes"),
    [
        # Unlike Porcupine's model, etcd tells an empty value from an absent one.
        ([etcd_put('{"Value":""}'), etcd_range('{"Key":"k","Value":{}}')], True),
        ([etcd_put('{"Value":""}'), etcd_range("")], False),
        ([etcd_put('{"Value":"a"}'), etcd_range('{"Key":"k","Value":{"Value":""}}')], False),
        ([etcd_put('{"Hash":7}'), etcd_range('{"Key":"k","Value":{"Hash":7}}')], True),
        # A response of which only the existence is known shows nothing.
        ([etcd_put('{"Value":"a"}'), etcd_range("", ',"Persisted":true')], True),
        ([etcd_put('{"Value":"a"}'), etcd_range("", ',"Error":"timed out"')], True),
        # Without a response it is not known whether a write happened.
        ([etcd_put('{"Value":"a"}').replace('{"Txn":{}}', "{}"), etcd_range("")], True),
        ([etcd_put('{"Value":"a"}').replace('{"Txn":{}}', '{"Error":"e"}'), etcd_range("")], True),
        (
            [
                etcd_put('{"Value":"a"}').replace('{"Txn":{}}', '{"Persisted":true}'),
                etcd_range(""),
            ],
            False,
        ),
    ],
)
def test_etcds_model(tmp_path: Path, operations: list[str], passes: bool) -> None:
    name, found = history(tmp_path, porcupine(*operations))
    assert name == "porcupine-jsonl"
    assert linearizable(found).findings is not passes


def test_a_compare_and_set_that_met_a_refused_value(tmp_path: Path) -> None:
    text = (
        '{"call_ns":0,"return_ns":1,"process":0,"key":"k","kind":"put","value":"a",'
        '"outcome":"refused"}\n'
        '{"call_ns":2,"return_ns":3,"process":0,"key":"k","kind":"cas_met","value":"a",'
        '"expected":"b","outcome":"ok"}\n'
    )
    name, found = history(tmp_path, text)
    assert name == "kvsim-jsonl"
    (finding,) = linearizable(found).findings
    assert "cas('b' → …) → met 'a'" in finding.message and "refused" in finding.message
    assert len(read_values_were_written(found).findings) == 1


ENDS_OF_LINES = {
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "a mark of UTF-8": lambda text: f"\ufeff{text}",
    "no end": lambda text: text[:-1],
    "empty lines": lambda text: "\n\n" + text.replace("\n", "\n \n"),
    "colours": lambda text: text.replace("INFO", "\x1b[32mINFO\x1b[0m"),
}


@pytest.mark.parametrize("name", ENDS_OF_LINES)
def test_how_lines_end_changes_nothing(tmp_path: Path, name: str) -> None:
    read = ("1 :invoke :read nil", "1 :ok :read READ")
    old = log(PREFIXES["console"], *WRITE_1, *read)
    texts = {edn("1", "READ"): "1", old: "1", porcupine(PUT_A, GET % '"READ"'): "a"}
    for text, right in texts.items():
        for value, passes in ((right, True), ("7", False)):
            written = ENDS_OF_LINES[name](text.replace("READ", value))
            assert judge(tmp_path, written)[1] is passes


WRONG = {
    "a map of accounts": (
        "{:type :invoke, :f :read, :process 0}\n{:type :ok, :f :read, :process 0, :value {0 10}}",
        2,
        "a read returns a map, .* of another model",
    ),
    "a set": (
        "{:type :invoke, :f :read, :process 0}\n{:type :ok, :f :read, :process 0, :value #{}}",
        2,
        "a read returns a set",
    ),
    "transactions": (
        "{:type :invoke, :f :txn, :process 0, :value [[:append 1 2]]}",
        1,
        r"of transactions \(list-append or rw-register\), .* does not judge that model yet",
    ),
    "a queue": ("{:type :invoke, :f :enqueue, :process 0, :value 1}", 1, "an operation of a queue"),
    "a swap in a log": (log("", *WRITE_1, "0 :invoke :swap 2"), 5, ":swap is an operation of"),
    "a version": (
        "{:type :invoke, :f :read, :process 0, :version 3}",
        1,
        ":version changes what an operation means",
    ),
    "a time beyond 64 bits": (
        "{:type :invoke, :f :read, :process 0, :time 99999999999999999999}",
        1,
        "range of 62 bits",
    ),
    "an end beyond 64 bits": (
        edn("1", "1")
        .replace(":process", ":time 9999999999999999999 :process")
        .replace("9999999999999999999", "1", 1),
        2,
        "range of 62 bits",
    ),
    "a process beyond 64 bits": (
        "{:type :invoke, :f :read, :process 99999999999999999999}\n"
        "{:type :invoke, :f :read, :process 1}",
        None,
        None,
    ),
    "times of some operations": (
        "{:type :invoke, :f :read, :process 0, :time 1}\n{:type :invoke, :f :read, :process 1}",
        2,
        "has a :time and another one has none",
    ),
    "a write without a key": (
        "{:type :invoke, :f :write, :process 0, :value [1 2]}\n"
        "{:type :invoke, :f :write, :process 1, :value 2}",
        2,
        "not a pair of key and value, as that of the first write is",
    ),
    "appends of numbers": (
        "{:type :invoke, :f :append, :process 0, :key 1, :value 2}",
        1,
        "an append joins strings",
    ),
    "no client": ("{:type :info, :f :start, :process :nemesis}", 1, "no operation of a client"),
    "no operation in a log": ("INFO [2024] main - jepsen.cli hello\n", 1, "none of its 1 lines"),
    "a version without a meaning": (
        porcupine('{"op":1,"key":"k","value":"a","lease":3} -> {}'),
        1,
        "the Input has the field 'lease', which may change what happened",
    ),
    "a field of the output": (
        porcupine('{"op":0,"key":"k"} -> {"value":"a","stale":true}'),
        1,
        "the Output has the field 'stale'",
    ),
    "an error that is not known": (
        porcupine('{"op":1,"key":"k","value":"a"} -> {"Err":"ErrWrongGroup"}'),
        1,
        "the answer 'ErrWrongGroup' is not known",
    ),
    "versions of some operations": (
        porcupine(PUT_A, put("a", 0, "OK")),
        2,
        "some operations on this key have a version",
    ),
    "a value without a version": (porcupine(get("a", 0)), 1, "versions begin with 1"),
    "a number that is no time": (
        porcupine(PUT_A).replace('"Call":0', '"Call":1e400'),
        1,
        "call is Infinity, not an integer",
    ),
    "a return beyond 64 bits": (
        porcupine(PUT_A).replace('"Return":5', '"Return":99999999999999999999'),
        1,
        "range of 62 bits",
    ),
    "a field of another export": (
        '{"call_ns":0,"return_ns":1,"process":0,"key":"k","kind":"put","value":"a","ttl":1}',
        1,
        "it has the field 'ttl'",
    ),
    "a time that is a text": (
        '{"call_ns":"0","return_ns":1,"process":0,"key":"k","kind":"put","value":"a"}',
        1,
        "its call_ns is no integer",
    ),
    "a client without a number": (
        "{:type :invoke, :f :write, :process nil, :value 1}",
        1,
        "an operation on a register has no :process",
    ),
    "a version in the value": (
        "{:process 0 :type :invoke :f :write :value [1 [nil 3]]}\n"
        "{:process 0 :type :ok :f :write :value [1 [1 3]]}",
        2,
        r":write is invoked with \[nil 3\] and completes with \[1 3\]",
    ),
    "a key in the value of a read": (
        "{:process 0 :type :invoke :f :read :value :x}\n{:process 0 :type :ok :f :read :value 5}",
        2,
        "the value may be a key",
    ),
    "a delete that returns what it removed": (
        "{:process 0 :type :invoke :f :delete}\n{:process 0 :type :ok :f :delete :value 4}",
        2,
        "may be a version or a result",
    ),
    "no function": (
        "{:process 0 :type :ok :value [[:append :x 1]]}",
        1,
        "has no :f, as those of transactions",
    ),
    "a log that ends inside a line": (
        log("", *WRITE_1, "0 :invoke :read nil", "0 :ok :read").rstrip("\n"),
        6,
        "ends before the value of :read",
    ),
    "an operation behind a prefix that is not known": (
        log("", *WRITE_1) + "node1 0\t:invoke\t:read\tnil\n",
        5,
        "like an operation, behind something that is not known",
    ),
    "a field beside the operation": (
        porcupine(PUT_A).replace('"Return"', '"Error":"timeout","Return"'),
        1,
        "the operation has the field 'error'",
    ),
    "a field in two cases": (
        porcupine(PUT_A).replace('"Return"', '"return":7,"Return"'),
        1,
        "a field is there twice",
    ),
    "a put that does not happen": (
        porcupine(etcd_put('{"Value":"a"}').replace("OnSuccess", "OnFailure")),
        1,
        "a transaction of several steps or with conditions",
    ),
    "a delete of many keys": (
        porcupine(
            etcd_put("1")
            .replace("put-", "delete-")
            .replace('"Put":', '"Delete":{"End":"z"},"Put":')
        ),
        1,
        "the delete has the field 'End'",
    ),
    "a range that returns another key": (
        porcupine(etcd_range('{"Key":"other","Value":{"Value":"a"}}')),
        1,
        "a range of one key returns other keys",
    ),
    "bytes that are no text": ("{:process 0 :type :invoke :f :read}\n\udcff", 2, "UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_an_error_with_its_line(tmp_path: Path, name: str) -> None:
    text, line, message = WRONG[name]
    path = tmp_path / "h"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    if message is None:
        # Processes are names: they have no range.
        assert len(formats.read_guessed(path)[1].operations) == 2
        return
    with pytest.raises(FormatError, match=f"h:{line}: .*{message}"):
        formats.read_guessed(path)


def test_a_compressed_file_is_read_as_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "h"
    for read, passes in (("1", True), ("2", False)):
        path.write_bytes(gzip.compress(edn("1", read).encode()))
        name, found = formats.read_guessed(path)
        assert name == "jepsen-edn" and bool(linearizable(found).findings) is not passes
    whole = path.read_bytes()
    binary_file.save(found, path)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert list(formats.read("kvsim", path).operations) == list(found.operations)
    for damaged in (whole[:-9], whole + b"more", whole[:3]):
        path.write_bytes(damaged)
        with pytest.raises(formats.UsageError, match=r"h(:5)?: cannot be decompressed"):
            formats.read_guessed(path)


@pytest.mark.parametrize(
    ("text", "begins"), [("", "it is empty"), ("hello\n", "it begins with 'hello'"), ("[]", "")]
)
def test_a_file_of_no_format_is_an_error(tmp_path: Path, text: str, begins: str) -> None:
    path = tmp_path / "h"
    path.write_text(text)
    with pytest.raises(formats.UsageError, match=f"not a history in a format .*{begins}"):
        formats.read_guessed(path)


def test_keys_keep_their_types(tmp_path: Path) -> None:
    events = [
        '{:process 0 :type :invoke :f :write :value [1 "a"]}',
        '{:process 0 :type :ok :f :write :value [1 "a"]}',
        '{:process 0 :type :invoke :f :read :value ["1" nil]}',
        '{:process 0 :type :ok :f :read :value ["1" nil]}',
    ]
    _, found = history(tmp_path, "\n".join(events))
    assert found.operations.keys.strings == ["1", '"1"']
    assert not linearizable(found).findings
