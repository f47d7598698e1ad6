"""The page of a fleet: its charts over time, its tables, and texts of others that stay texts."""

from __future__ import annotations

import csv
import io

import pytest

from agent.fleet.views import fleet_view
from agent.render.fleet_tables import cost_tables, drift_table, outlier_table
from agent.report.fleet_report import fleet_csv, fleet_markdown, fleet_page
from fleet_points import XEON, fleet, machine
from store.fleet_filter import PointFilter
from store.points_in_memory import points_in_memory

ATTACK = "<script>alert(1)</script>"
CREATED = "2026-01-31 08:30 UTC"


def view_of(points, *group_by):
    with points_in_memory(points) as engine:
        return fleet_view(engine, PointFilter(), "here", group_by)


def page_of(points, *group_by):
    return fleet_page(view_of(points, *group_by), CREATED).decode()


def test_costs_over_months_are_a_chart_with_a_line_for_each_group():
    points = [*fleet(4, 70), *fleet(3, 70, hardware=XEON, setup=12, seed=2)]
    page = page_of(points, "hardware", "month")
    assert page.count('id="chart-fleet-cost-') == 1
    assert "The cost of a million output tokens by month, for the 2 groups of the most hosts." in page
    assert "2026-03" in page


def test_a_page_without_dates_or_costs_has_no_chart_and_no_script():
    for page in (page_of(fleet(4, 70), "hardware"), page_of(fleet(4, 3), "month"), page_of([], "month")):
        assert 'id="chart-fleet' not in page
        assert "script-src &#39;none&#39;" in page
    without = {f"cost_per_million_units{end}": None for end in ("", "_lower", "_upper")}
    assert 'id="chart-fleet' not in page_of(fleet(4, 70, **without), "month")


def test_names_of_machines_stay_texts():
    hot = machine(ATTACK, [3.0, 3.01, 3.02], site=ATTACK, rack="=1+1")
    view = view_of([*fleet(4, 3), *hot], "host", "rack")
    page = fleet_page(view, CREATED).decode()
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)" in page
    assert ATTACK not in fleet_markdown(view, CREATED)
    assert b"'=1+1" in fleet_csv(view)


@pytest.mark.parametrize(
    ("change", "lines"), [({"cost_basis": "usage"}, 2), ({"energy_source": "estimated"}, 2), ({"currency": "USD"}, 1)]
)
def test_a_line_of_a_chart_has_one_basis_one_source_and_one_currency(change, lines):
    points = [*fleet(4, 70), *fleet(3, 70, setup=12, seed=2, **change)]
    page = page_of(points, "hardware", "month")
    assert f"for the {lines} groups of the most hosts." in page
    assert page.count("EUR per million output tokens") >= 1


@pytest.mark.parametrize(
    ("change", "label"),
    [({"energy_source": "estimated"}, "estimated"), ({"cost_basis": "usage, energy alone"}, "alone")],
)
def test_figures_that_are_all_estimated_or_lack_a_part_have_their_label(change, label):
    assert any(label in cell for cell in cells(fleet(4, 3, **change)))
    assert not any("measured" in cell for cell in cells(fleet(4, 3)))


def test_works_of_one_name_have_their_digests_in_titles():
    hot, changed = [2.5, 2.51, 2.49, 2.5, 2.5, 2.5], [2.0, 2.01, 2.0, 2.24, 2.25, 2.24]
    points = [
        *fleet(8, 6, work=-1, setup=12),
        *fleet(8, 6, work=0x7BC << 52, setup=13),
        *machine("hot", hot, work=-1, setup=12),
        *machine("changed", changed, work=-1, setup=12),
        *fleet(8, 6, work=5, setup=14, point="rate=1"),
    ]
    view = view_of(points, "month")
    name = "llama-3-8b fp16 rate=8"
    titles = [table.title for table in cost_tables(view)]
    assert titles == [
        f"{name} (work ffffffff), by output token",
        "llama-3-8b fp16 rate=1, by output token",
        f"{name} (work 7bc00000), by output token",
    ]
    page, markdown = fleet_page(view, CREATED).decode(), fleet_markdown(view, CREATED)
    assert [each.place.work for each in view.outliers + view.drift] == ["f" * 16] * 2
    for table in (outlier_table(view), drift_table(view)):
        assert f"{name} (work ffffffff)" in table.rows[0]
    for title in titles:
        assert title in page
        assert f"### {title}".replace("_", "") in markdown
    works = [row["work"] for row in csv.DictReader(io.StringIO(fleet_csv(view).decode("utf-8-sig")))]
    assert works == ["f" * 16, "0000000000000005", "7bc0000000000000"]


def cells(points):
    return [cell for table in cost_tables(view_of(points)) for row in table.rows for cell in row]
