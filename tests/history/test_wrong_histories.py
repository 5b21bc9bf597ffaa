"""Histories that kvsim once judged wrongly, by kind, and the tests that hold each kind.

Each row is a case as it was reported: its number, its kind, what is right and what kvsim did, and
the tests that fail when it comes back. The inputs of these tests are the project's own.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parents[1]
VERDICTS = "history/test_foreign_verdicts.py::"
APPENDS = "checks/linearizability/test_appends.py::"
MINIMAL = "checks/linearizability/test_minimal_violation.py::"
LOST = "checks/consistency/test_lost_writes.py::"
MET = "checks/consistency/test_compare_and_set_met.py::"
ERRORS = VERDICTS + "test_what_cannot_be_read_is_an_error_with_its_line"


class Case(NamedTuple):
    """One kind of mistake. `tests` are names of tests, by their file below the folder of tests."""

    number: str
    kind: str
    words: str
    tests: tuple[str, ...]


CASES = (
    Case(
        "1",
        "appends, 50 clients",
        "not linearizable; Porcupine 0.06 s; kvsim fail, but 4 of 10 keys undecided and 67..180 s, "
        "of which 75 s of 132 are the explanation whose limit is 5 s",
        (
            APPENDS + "test_many_appends_of_many_clients_take_near_linear_time",
            APPENDS + "test_strings_that_are_appended_once_are_a_chain",
            MINIMAL + "test_one_budget_is_for_all_keys_and_their_explanations",
        ),
    ),
    Case(
        "2",
        "bank as register",
        "a bank history: reads are maps of accounts: must be refused as no register; kvsim: fail, "
        "'nobody wrote that value'",
        (ERRORS,),
    ),
    Case(
        "3",
        "cas_met is not a read, with a log",
        "monotonic_reads must FAIL (client 1 met b, then read a); passes because of the log",
        (MET + "test_it_is_judged_as_a_read_is",),
    ),
    Case(
        "4",
        "crash: cas_met of a refused write",
        "a read-only follower refuses put a, and a cas then meets a: must be fail (refused write "
        "was read); kvsim: traceback StopIteration, exit 70",
        (
            VERDICTS + "test_a_compare_and_set_that_met_a_refused_value",
            MINIMAL + "test_a_compare_and_set_that_met_a_refused_value_names_the_refusal",
            MET + "test_it_can_meet_a_refused_value",
        ),
    ),
    Case(
        "5",
        "EDN list",
        "Knossos's own bad history, top level is a list ( … ) as Clojure prints seqs: must fail "
        "(not linearizable); kvsim: exit 4 'not an operation'",
        (
            VERDICTS + "test_operations_at_the_top_and_in_a_collection",
            "history/test_edn.py::test_items_at_the_top",
        ),
    ),
    Case(
        "6",
        "empty string, EDN",
        'put "" then read "" is linearizable: must pass; kvsim says fail',
        (
            VERDICTS + "test_values_of_edn",
            VERDICTS + "test_an_empty_value_replaces_another_one",
        ),
    ),
    Case(
        "7",
        "empty string, Porcupine",
        'put "" then get "": must pass; kvsim says fail',
        (VERDICTS + "test_porcupines_key_value_model",),
    ),
    Case(
        "8",
        "explanation of repeated values",
        "fail is right; the proof is 51 of 82 operations and names a put as its last; expected: "
        "the read or cas that cannot be placed, and the last state that was explained",
        (
            MINIMAL + "test_a_value_that_was_written_twice_is_explained_by_a_few_operations",
            MINIMAL + "test_what_is_blocked_observes_and_the_others_have_the_order_that_is_shown",
            MINIMAL + "test_an_explanation_without_time_names_no_operation",
            "checks/linearizability/test_porcupine_verdicts.py::"
            "test_all_violations_are_explained_by_a_few_operations",
        ),
    ),
    Case(
        "9",
        "history.txt",
        "jepsen's history.txt (process TAB type TAB f TAB value) must be read (a read of 7 that "
        "nobody wrote: must fail), or it must be said that no line was recognised; kvsim: invalid, "
        "0 operations",
        (VERDICTS + "test_lines_of_jepsens_logs", ERRORS),
    ),
    Case(
        "10",
        "failed cas in jepsen.log",
        "a cas that failed with an error (:no-leader) did not happen and says nothing of the "
        "value: must pass (the same history as EDN does)",
        (VERDICTS + "test_a_compare_and_set_that_failed_with_an_error_is_no_mismatch",),
    ),
    Case(
        "11",
        "lost writes, a value twice in the log",
        "must not fail: put a, put b, put a are in the log as three entries; and "
        "cas_met/cas_missed are not 'acknowledged deletes and appends'",
        (
            LOST + "test_a_value_written_twice_is_in_the_log_twice",
            LOST + "test_a_failed_compare_and_set_is_no_write_that_the_log_should_have",
        ),
    ),
    Case(
        "12",
        "lost writes, a value twice",
        "must not fail: put a, put b, put a, end a. kvsim says put b is lost",
        (
            LOST + "test_the_final_read_where_values_repeat",
            LOST + "test_what_is_called_lost_has_no_order",
        ),
    ),
    Case(
        "13",
        "MIT 6.5840 with versions",
        "a put answered ErrVersion did not happen; history is linearizable; must pass, or be "
        "refused as unreadable; kvsim says fail",
        (VERDICTS + "test_versioned_puts",),
    ),
    Case(
        "14",
        "modern jepsen.log",
        "jepsen.log lines of every Jepsen since 2016 (timestamp{GMT}, thread, jepsen.util:) read 7 "
        "that nobody wrote: must fail, or say that no line was recognised; kvsim: invalid, 0 "
        "operations",
        (VERDICTS + "test_lines_of_jepsens_logs", ERRORS),
    ),
    Case(
        "15-17",
        "numbers beyond 64 bits, in EDN, kvsim's export and Porcupine's operations",
        "must be an error that names the line (exit 4), not a traceback (exit 70)",
        (ERRORS,),
    ),
    Case(
        "18",
        "Porcupine, put of an empty string",
        'put a, put "", get "": must pass; kvsim says fail',
        (VERDICTS + "test_porcupines_key_value_model",),
    ),
    Case(
        "19",
        "Porcupine, unknown delete",
        'an unknown delete explains the absence: must pass (where Input has no "value", it does)',
        (VERDICTS + "test_porcupines_key_value_model",),
    ),
    Case(
        "20",
        "unknown appends",
        "30 operations, linearizable (Porcupine: 0.07 ms): must pass; kvsim: unknown after 10 s",
        (APPENDS + "test_unknown_appends_do_not_have_to_be_tried_in_every_order",),
    ),
    Case(
        "environment 08",
        "empty value",
        "Right: 0, 0 (e2.*: 1). Now: 1, 1. etcd keeps an empty value. Now: FAIL 'acknowledged put, "
        "later n1 showed not found'",
        (
            VERDICTS + "test_an_empty_value_replaces_another_one",
            VERDICTS + "test_porcupines_key_value_model",
            VERDICTS + "test_etcds_model",
            "client/test_http.py::test_a_value_that_is_left_out_because_it_is_empty",
        ),
    ),
    Case(
        "environment 09",
        "types of EDN",
        "Right: t kw b p.jsonl (porcupine-jsonl) -> 1; u m n -> 0; d d1 d2 set -> read. Now: t kw "
        "b p -> 0 (missed), u m -> 1 (false alarm), d d1 d2 set -> 4",
        (
            VERDICTS + "test_values_of_edn",
            VERDICTS + "test_keys_keep_their_types",
            VERDICTS + "test_forms_around_the_operations",
            "history/test_edn.py::test_forms",
            "history/test_edn.py::test_different_values_are_shown_differently",
        ),
    ),
    Case(
        "environment 31",
        "lines of Jepsen's logs",
        "Right: 1, as a.log; at least 'no line of 4 is an operation'. Now: 0 operations, 3. "
        "sw.log (unknown :swap): Right: an error as in jepsen-edn; now left out in silence, false "
        "alarm",
        (
            VERDICTS + "test_lines_of_jepsens_logs",
            VERDICTS + "test_how_lines_end_changes_nothing",
            ERRORS,
        ),
    ),
)


@cache
def functions(path: Path) -> frozenset[str]:
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_each_kind_has_tests(case: Case) -> None:
    for test in case.tests:
        file, _, name = test.partition("::")
        assert name in functions(TESTS / file), f"{test} is no test: name what holds {case.kind}"
