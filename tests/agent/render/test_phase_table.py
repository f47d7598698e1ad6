"""The table of prefill and decode, from points of a document."""

from __future__ import annotations

from agent.render.phase_table import phase_table


def phase(name, inputs, outputs, seconds):
    return {"phase": name, "input_tokens": inputs, "output_tokens": outputs, "duration_seconds": seconds}


def joules(name, inputs, outputs):
    kinds = {"joules_per_input_token": inputs, "joules_per_output_token": outputs}
    return {"phase": name, **{key: None if each is None else {"mean": each} for key, each in kinds.items()}}


POINT = {
    "name": "batch=1",
    "phases": [phase("prefill", 1000, 10, 2.0), phase("decode", 0, 90, 3.0)],
    "energy": {"phases": [joules("prefill", 0.01, 1.0), joules("decode", None, 0.5)]},
}


def cells(*points):
    return [line.split() for line in phase_table(points, 100).splitlines()[1:]]


def test_each_phase_has_the_rate_and_the_energy_of_its_own_tokens():
    assert cells(POINT) == [
        ["POINT", "PREFILL", "TOK/S", "J/TOKEN", "DECODE", "TOK/S", "J/TOKEN"],
        ["batch=1", "500", "0.0100", "30.0", "0.500"],
    ]


def test_without_energy_there_are_only_rates():
    assert cells({**POINT, "energy": None})[1] == ["batch=1", "500", "30.0"]


def test_a_point_without_energy_among_others_has_no_joules():
    assert cells(POINT, {**POINT, "name": "batch=2", "energy": None})[2] == ["batch=2", "500", "-", "30.0", "-"]


def test_points_of_other_phases_and_loads_have_no_such_table():
    assert not phase_table([{**POINT, "phases": [phase("inference", 0, 0, 1.0)]}], 100)
    assert not phase_table([{**POINT, "serving": {"completed": 1}}], 100)
