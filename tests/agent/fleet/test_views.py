"""The views of a fleet: costs, outliers and drift of a fleet with faults, and the notes on what was not tested."""

from __future__ import annotations

from agent.fleet.views import _MOST_SERIES, fleet_view
from agent.render.fleet_view_text import extent, fleet_view_text
from fleet_points import fleet, machine, point
from store.fleet_filter import PointFilter
from store.points_in_memory import points_in_memory

CALIBRATION = "the calibration of each machine's sensors is unknown and in no interval: confirm with a meter"


def view_of(points, group_by=("hardware", "site"), **wanted):
    with points_in_memory(points) as engine:
        return fleet_view(engine, PointFilter(**wanted), "here", group_by)


def faulty():
    """Ten machines, of which one needs 25 % more energy than the others, and one 12 % more since the ninth day."""
    hot = [2.5, 2.51, 2.49, 2.5, 2.52, 2.48, 2.5, 2.51, 2.49, 2.5, 2.5, 2.5]
    drifted = [2.0, 2.01, 1.99, 2.0, 2.0, 2.01, 1.99, 2.0, 2.24, 2.25, 2.23, 2.24]
    return [*fleet(8, 12), *machine("hot", hot), *machine("drifted", drifted, rack="r9")]


def test_a_faulty_fleet_has_its_outlier_and_its_drift():
    view = view_of(faulty())
    assert (view.hosts, view.points, view.first, view.last) == (10, 120, "2026-01-01", "2026-01-12")
    [work] = view.costs
    assert (work.model, work.unit, work.machines[0].hosts) == ("llama-3-8b", "output token", 10)
    assert [each.place.host for each in view.outliers] == ["hot"]
    assert [(each.place.host, each.place.rack, each.since[:10]) for each in view.drift] == [
        ("drifted", "r9", "2026-01-09")
    ]
    assert (view.outliers_tested, view.drift_tested) == (10, 10)
    assert view.notes == (CALIBRATION,)


def test_a_healthy_fleet_has_neither():
    view = view_of(fleet(10, 12))
    assert (view.outliers, view.drift, view.notes) == ((), (), ())
    text = fleet_view_text(view, 80)
    assert "No machine needs more or less energy than its siblings, in 10 tests" in text
    assert "No machine's energy changed, in 10 tests" in text


def test_a_wrong_sensor_is_listed_with_its_reason_and_does_not_hide_a_faulty_machine():
    low = [each / 8 for each in [2.0, 2.01, 1.99, 2.0, 2.02, 1.98, 2.0, 2.01, 1.99, 2.0, 2.0, 2.0]]
    view = view_of([*faulty(), *machine("low", low, rack="r7")])
    assert [(each.place.host, each.place.rack) for each in view.outliers] == [("hot", "r1"), ("low", "r7")]
    assert [each.ratio.mean > 1 for each in view.outliers] == [True, False]
    assert [each.siblings for each in view.outliers] == [9, 10]
    assert view.notes[0].startswith("some machines need less energy than their siblings: the common reason is a sensor")
    assert view.notes[1] == CALIBRATION


def test_anonymized_profiles_are_one_host_in_the_text_and_its_rows():
    points = [point("anonymous", day, host_id=f"anonymous-{day}") for day in range(15)]
    view = view_of(points)
    assert (view.hosts, view.costs[0].machines[0].hosts) == (1, 1)
    assert view.notes[0] == "15 anonymized profiles count as one host, since their machines are unknown"
    assert view_of(points[:1]).notes[0].startswith("no machine was tested")


def test_a_filter_restricts_all_views():
    view = view_of(faulty(), values=(("host", "drifted"),))
    assert (view.hosts, view.outliers_tested, view.drift_tested) == (1, 0, 1)
    assert [each.place.host for each in view.drift] == ["drifted"]


def test_notes_state_what_was_not_tested_and_why():
    without_cost = {f"cost_per_million_units{end}": None for end in ("", "_lower", "_upper")}
    points = [
        point("a", energy_source="estimated", **without_cost),
        point("b", boundary="components", setup=12, joules=None, **without_cost),
    ]
    notes = view_of(points).notes
    assert [note.split(":")[0] for note in notes] == [
        "hosts without energy",
        "the profiles have no prices, so there are no costs",
        "the energies have several boundaries, which are in rows of their own",
        "machines with estimated energy are neither outliers nor drift",
        "no machine was tested against siblings",
        "no machine was tested for drift",
    ]


def test_a_large_healthy_fleet_does_not_hide_drift():
    drifted = [2.0, 2.01, 1.99, 2.0, 2.24, 2.25, 2.23, 2.24]
    view = view_of([*fleet(_MOST_SERIES + 200, 8, scatter=0.05), *machine("drifted", drifted)])
    assert view.drift_tested == _MOST_SERIES + 201
    assert [each.place.host for each in view.drift] == ["drifted"]


def test_a_note_states_in_how_many_series_drift_was_not_searched_and_whose():
    crowd = [
        each
        for setup in range(100, 1101 + 19)
        for each in machine("crowd", [2.0, 2.01, 2.0, 8.0, 8.01, 8.0], setup=setup, work=setup)
    ]
    view = view_of([*crowd, *machine("drifted", [2.0, 2.01, 1.99, 2.24, 2.25, 2.23])])
    assert (view.drift_tested, len(view.drift)) == (1021, 1000)
    assert "drifted" in {each.place.host for each in view.drift}
    assert any(
        note.startswith("drift was not searched in 21 series (21 of the host crowd): 1,000 others")
        for note in view.notes
    )


def test_the_text_has_every_table_within_the_width():
    text = fleet_view_text(view_of([*faulty(), *fleet(3, 2, currency="USD", setup=12, work=2 << 56)]), 100)
    lines = text.splitlines()
    assert lines[0].startswith("10 hosts, 126 points of profiles, 2026-01-01 to 2026-01-12: here")
    assert "llama-3-8b fp16 rate=8 (work 00000000), by output token" in lines
    assert "llama-3-8b fp16 rate=8 (work 02000000), by output token" in lines
    assert "Machines that need 10 % more or less energy than their siblings" in lines
    assert "Machines whose energy changed" in lines
    assert any(line.startswith("- the calibration") for line in lines)
    assert max(map(len, lines)) <= 100


def test_the_text_cuts_long_tables_and_states_how_much():
    points = [point(f"n{n:03d}", work=n // 30, setup=n // 30) for n in range(90)]
    text = fleet_view_text(view_of(points, ("host",)), 100)
    assert sum(line.startswith("n0") for line in text.splitlines()) == 40
    assert "50 more rows: --json prints them" in text


def test_one_point_is_counted_in_the_singular():
    view = view_of(machine("alone", [2.0]))
    assert extent(view).startswith("1 host, 1 point of profiles, ")


def test_a_fleet_without_points_is_one_sentence():
    assert fleet_view_text(view_of([]), 80) == "here: no points of profiles with these properties"
