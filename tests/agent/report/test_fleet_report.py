"""The page of a fleet: its charts over time, its tables, and texts of others that stay texts."""

from __future__ import annotations

from agent.fleet.views import fleet_view
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
    without = {"cost_per_million_output_tokens": None}
    assert 'id="chart-fleet' not in page_of(fleet(4, 70, **without), "month")


def test_names_of_machines_stay_texts():
    hot = machine(ATTACK, [3.0, 3.01, 3.02], site=ATTACK, rack="=1+1")
    view = view_of([*fleet(4, 3), *hot], "host", "rack")
    page = fleet_page(view, CREATED).decode()
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)" in page
    assert ATTACK not in fleet_markdown(view, CREATED)
    assert b"'=1+1" in fleet_csv(view)
