"""Tables of points: a row for each point, units in the headings, and no cell that a spreadsheet would compute."""

from __future__ import annotations

import csv
import json
import re
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

from agent.exports.tables import COLUMNS, points_table, write_csv, write_markdown, write_parquet
from agent.profiling.document.versions import parse
from agent.render.csv_cells import neutralized
from command import ROOT, call
from trees import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

TRANSFORMER, SERVER = (
    json.loads((ROOT / f"docs/{name}.example.json").read_text(encoding="utf-8")) for name in ("profile", "serving")
)


def as_csv(*documents: dict[str, Any]) -> list[dict[str, str]]:
    text = StringIO()
    write_csv(points_table(documents), text)
    return list(csv.DictReader(text.getvalue().splitlines()))


def test_a_row_has_the_figures_of_its_point() -> None:
    rows = as_csv(TRANSFORMER, SERVER)
    points = [(document, point) for document in (TRANSFORMER, SERVER) for point in document["points"]]
    assert [(row["profile"], row["point"]) for row in rows] == [(d["id"], p["name"]) for d, p in points]
    for row, (_, point) in zip(rows, points, strict=True):
        energy = point["energy"]["joules_per_inference"]["total"]
        assert float(row["energy_per_inference (J)"]) == energy["mean"]
        assert float(row["energy_per_inference_upper (J)"]) == energy["upper"]
        parts = point["cost"]["allocation"]["per_million_output_tokens"]
        cost = float(row["cost_per_million_output_tokens_allocation (currency)"])
        assert cost == pytest.approx(parts["energy"]["mean"] + parts["capital"]["mean"])
    assert (rows[0]["parameter batch"], rows[-1]["parameter batch"], rows[-1]["parameter concurrency"]) == (
        *("1.0", "", "4.0"),
    )
    assert float(rows[-1]["requests (1)"]) == points[-1][1]["serving"]["requests"]


def test_a_point_with_a_model_of_its_own_has_its_size_and_its_agreement() -> None:
    document = json.loads(json.dumps(TRANSFORMER))
    agreement = {"reference": "fp32", "cosine_similarity": 0.99, "top1_agreement": None, "outputs": 8}
    model = {"model_bytes": 5, "load_seconds": 1.5, "load_joules": {"mean": 2.5}, "agreement": agreement}
    document["points"][0]["model"] = model
    row, other, *_ = as_csv(document)
    names = ("model_size (B)", "model_load (s)", "model_load_energy (J)", "cosine_similarity (ratio)")
    assert [float(row[name]) for name in names] == [5, 1.5, 2.5, 0.99]
    assert row["top1_agreement (ratio)"] == other["model_size (B)"] == ""


def test_a_total_without_one_of_its_parts_is_an_empty_cell() -> None:
    document = json.loads(json.dumps(TRANSFORMER))
    document["points"][0]["cost"]["usage"]["per_inference"]["capital"] = None
    document["points"][1]["cost"] = document["points"][1]["energy"] = None
    rows = as_csv(document)
    assert [row["cost_per_inference_usage (currency)"] for row in rows[:2]] == ["", ""]
    assert rows[1]["energy_per_inference (J)"] == ""
    assert rows[2]["cost_per_inference_usage (currency)"] != ""


def test_every_number_has_its_unit_in_the_heading() -> None:
    headings = [column.heading for column in COLUMNS if column.kind is float]
    assert len(headings) > 40
    assert [heading for heading in headings if not re.search(r" \((1|s|1/s|J|W|g|B|ratio|currency)\)$", heading)] == []
    assert len({column.heading for column in COLUMNS}) == len(COLUMNS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=cmd|' /C calc'!A0"])
def test_a_text_that_a_spreadsheet_would_compute_is_neutralized(text: str) -> None:
    document = {**TRANSFORMER, "host": {**TRANSFORMER["host"], "name": text}}
    assert as_csv(document)[0]["host"].startswith(("'", "\\"))


def test_a_negative_number_is_not_changed() -> None:
    assert [neutralized(cell) for cell in (-1.5, None, True, "a-b")] == [-1.5, None, True, "a-b"]


def test_a_heading_of_a_foreign_name_and_markup_in_a_cell_are_harmless() -> None:
    point = {**TRANSFORMER["points"][0], "parameters": {"=x": 1, "a|<b>": "<img src=x>|"}}
    text = StringIO()
    write_markdown(points_table([{**TRANSFORMER, "points": [point]}]), text)
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {lines[1].count("|")}
    assert "<" not in text.getvalue()


def test_markdown_has_the_main_columns_that_have_a_value() -> None:
    text = StringIO()
    write_markdown(points_table([TRANSFORMER]), text)
    heading, rule, *rows = text.getvalue().splitlines()
    assert heading.startswith("| profile | model | energy_source | point | inferences (1/s) |")
    assert "requests" not in heading
    assert "---:" in rule
    assert len(rows) == 4


def test_parquet_has_the_same_table() -> None:
    stream = BytesIO()
    table = points_table([TRANSFORMER])
    write_parquet(table, stream)
    read = parquet.read_table(stream)
    assert read.column_names == [column.heading for column in table.columns]
    assert [tuple(row.values()) for row in read.to_pylist()] == list(table.rows)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0", "2.1"])
def test_a_profile_of_an_older_schema_has_a_table(version: str) -> None:
    rows = as_csv(parse((FIXTURES / f"profiles/{version}.json").read_text(encoding="utf-8")))
    assert all(float(row["energy_per_inference (J)"]) > 0 for row in rows)


def test_the_command_writes_tables_of_several_profiles(tmp_path: Path) -> None:
    files = [ROOT / "docs/profile.example.json", ROOT / "docs/serving.example.json"]
    shown = call(tmp_path, "profiles", "export", *files, "--format", "csv")
    assert (shown.returncode, shown.stderr, len(shown.stdout.splitlines())) == (0, "", 8)
    written = call(tmp_path, "profiles", "export", *files, "--format", "csv", "-o", "points.csv", "--json")
    assert json.loads(written.stdout) == {
        "ids": [TRANSFORMER["id"], SERVER["id"]],
        "file": str(tmp_path / "points.csv"),
    }
    assert (tmp_path / "points.csv").read_text(encoding="utf-8") == shown.stdout
    assert call(tmp_path, "profiles", "export", *files, "--format", "parquet", "-o", "points.parquet").returncode == 0
    assert parquet.read_table(tmp_path / "points.parquet").num_rows == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.json", "b.json"), "JSON holds one profile"),
        (("a.json", "--format", "parquet"), "name a file with -o"),
        (("a.json", "--format", "md", "--json"), "name one with -o"),
        (("a.json", "--format", "xls"), "xls"),
    ],
)
def test_a_table_without_a_place_is_an_error(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = call(tmp_path, "profiles", "export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
