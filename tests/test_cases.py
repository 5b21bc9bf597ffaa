"""Which test holds which case out of a public bug report or a survey of malformed inputs.

A case without a row has no test that is known to be its own.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CASES = {
    "environment/01 a broken pipe ends with status 0": (
        "integration/test_output.py::test_a_run_keeps_its_verdict_when_its_output_is_lost"
    ),
    "environment/02 the folder of a JUnit file": (
        "integration/test_output.py::test_the_folder_of_a_file_that_an_option_names_is_made"
    ),
    "environment/08 an empty value": (
        "history/test_foreign_verdicts.py::test_an_empty_value_replaces_another_one"
    ),
    "environment/09 types of EDN": "history/test_foreign_verdicts.py::test_values_of_edn",
    "environment/12 a blocked mask": (
        "integration/test_inherited.py::test_a_blocked_signal_still_ends_kvsim"
    ),
    "environment/16 letters that the encoding lacks": (
        "integration/test_output.py::test_letters_that_the_encoding_lacks_are_replaced"
    ),
    "environment/26 modules in the working directory": (
        "integration/test_inherited.py::"
        "test_no_file_of_the_working_directory_is_taken_for_a_module_of_the_library"
    ),
    "environment/28 a deleted working directory": (
        "integration/test_inherited.py::test_a_deleted_working_directory_is_one_line"
    ),
    "environment/33 control bytes in a proof": (
        "proof/test_proof.py::test_control_bytes_of_a_log_and_a_reply_are_escaped_in_the_text"
    ),
    "input/github-injection": (
        "integration/test_output.py::test_no_line_of_a_pipe_is_a_command_to_a_runner"
    ),
    "input/junit-unwritable": (
        "integration/test_output.py::test_what_cannot_be_written_is_refused_before_anything_starts"
    ),
    "input/matrix-hides-others": (
        "config/test_scenario_lint.py::"
        "test_a_mistake_in_the_matrix_does_not_hide_those_in_the_steps"
    ),
    "input/ready-log-redos": "test_patterns.py::test_a_catastrophic_pattern_ends",
    "input/serve-one-damaged-run": "report/test_server.py::test_a_damaged_run_hides_no_other",
    "input/stdout": (
        "integration/test_output.py::test_a_full_disk_behind_stdout_is_reported_on_stderr"
    ),
    "judging/F14 modules of the standard library": (
        "integration/test_working_directory.py::"
        "test_a_module_of_the_user_does_not_hide_one_of_the_standard_library"
    ),
    "judging/F15 verify": "integration/test_edited_fields.py::test_each_edited_field_is_named",
}


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("test", CASES.values(), ids=CASES.keys())
def test_the_test_of_a_case_exists(test):
    file, _, name = test.partition("::")
    assert name in names_in(TESTS / file)
