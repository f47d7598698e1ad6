"""`inferometer fleet query`: the cells of an answer as JSON and as a table, and queries that are refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from command import call

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

NESTED = (
    "SELECT ['batch=4', 'batch=8'] AS list, {'a': 1, 'b': [DATE '2026-01-31', NULL]} AS struct, 'a'::BLOB AS blob, "
    "MAP {1: 'nan'::DOUBLE} AS map, array_value(1, 2) AS pair, [TRUE] AS truths, [1.5::DECIMAL(3, 1)] AS decimals"
)
PLAIN = "SELECT DATE '2026-01-31' AS day, 'inf'::DOUBLE AS infinite, 1.5::DECIMAL(3, 1) AS decimal, TRUE AS truth"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundles"
    made.mkdir()
    return made


def asked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return call(folder.parent, "fleet", "query", "--from", folder, *words)


def test_lists_structs_and_maps_are_those_of_json_and_blobs_are_hexadecimal(folder: Path) -> None:
    done = asked(folder, NESTED, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {
            "list": ["batch=4", "batch=8"],
            "struct": {"a": 1, "b": ["2026-01-31", None]},
            "blob": "61",
            "map": {"1": None},
            "pair": [1, 2],
            "truths": [True],
            "decimals": ["1.5"],
        }
    ]


def test_dates_and_decimals_are_texts_and_infinite_numbers_are_null(folder: Path) -> None:
    expected = {"day": "2026-01-31", "infinite": None, "decimal": "1.5", "truth": True}
    assert json.loads(asked(folder, PLAIN, "--json").stdout) == [expected]


def test_the_table_has_no_forms_of_python(folder: Path) -> None:
    sql = "SELECT ['é', 'b'] AS list, {'a': [DATE '2026-01-31']} AS struct, 'a'::BLOB AS blob, TRUE AS truth, NULL AS x"
    cells = asked(folder, sql).stdout.splitlines()[1]
    assert re.split(r" {2,}", cells) == ['["é", "b"]', '{"a": ["2026-01-31"]}', "61", "true", "-"]


@pytest.mark.parametrize("sql", ["", ";", " /* c */ ", "-- c"])
def test_a_query_without_a_statement_is_refused(folder: Path, sql: str) -> None:
    message = "SQL: the query has no statement. Give one such as FROM points"
    done = asked(folder, "--", sql)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
    done = asked(folder, "--json", "--", sql)
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr) == {"error": {"kind": "usage", "exit_code": 2, "message": message}}


def test_a_query_that_is_not_utf_8_is_refused(folder: Path) -> None:
    done = asked(folder, "SELECT 'caf\udce9'")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: SQL: the query is not UTF-8\n")
