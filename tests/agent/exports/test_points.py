from __future__ import annotations

import csv
import io

import pytest

from agent.exports.points import CSV, PARQUET
from agent.exports.records import ExportRequest
from planner_documents import load, profile

DOCUMENTS = (profile(load((512, 256), 0.1, 0.02, 2.0, rate=2.0)), profile(load((512, 256), 0.1, 0.02, 4.0, rate=4.0)))


def test_csv_has_a_row_for_each_point_with_source_and_cost():
    files = CSV.files(ExportRequest(DOCUMENTS)).files
    rows = list(csv.DictReader(io.StringIO(files["points.csv"].decode())))
    assert [row["inferences (1/s)"] for row in rows] == ["2.0", "4.0"]
    assert {row["energy_source"] for row in rows} == {DOCUMENTS[0].coverage.source}
    assert float(rows[0]["cost_per_inference_usage (currency)"]) == pytest.approx(1.03 / 3600 / 2)


def test_parquet_has_the_same_table():
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(PARQUET.files(ExportRequest(DOCUMENTS)).files["points.parquet"]))
    assert table.column("power (W)").to_pylist() == [
        point.power.mean_watts.mean for each in DOCUMENTS for point in each.points
    ]
