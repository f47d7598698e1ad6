"""Tasmota: the documented answers of its HTTP interface."""

from __future__ import annotations

import pytest

from meters import SECOND, found, meter, only_probe, secret_file, values_of
from plug_server import plug, tasmota_status
from probes.plugs import discover
from probes.plugs.tasmota import parse_status, step_of

STATUS = "/cm?cmnd=Status%208"
ANSWERS = {STATUS: tasmota_status(), "/cm?cmnd=Status%202": {"StatusFWR": {"Version": "13.4.0(tasmota)"}}}


def test_tasmota_counts_kilowatt_hours() -> None:
    with plug(ANSWERS) as state:
        probe = only_probe(found(discover, meter("tasmota", state.url)))
        assert values_of(probe, SECOND) == {"power_watts": 38.0, "energy_joules": pytest.approx(3.185 * 3.6e6)}
        assert dict(probe.channels[0].device.attributes)["firmware"] == "13.4.0(tasmota)"
        probe.close()


def test_tasmota_is_read_with_its_password(tmp_path) -> None:
    with plug(ANSWERS, login="basic") as state:
        result = found(discover, meter("tasmota", state.url, password_file=secret_file(tmp_path)))
        probe = only_probe(result)
        assert values_of(probe, SECOND)["power_watts"] == 38.0
        assert not any("sesame" in path for path, _ in state.requests)
        probe.close()


def test_the_phases_of_a_meter_are_added_unless_one_is_missing() -> None:
    assert parse_status(tasmota_status([1, 2.5, 3])) == (6.5, pytest.approx(3.185 * 3.6e6))
    assert parse_status(tasmota_status([1, None, 3])) == (None, pytest.approx(3.185 * 3.6e6))
    assert parse_status(tasmota_status([])) == (None, pytest.approx(3.185 * 3.6e6))


def test_a_device_without_a_meter_is_a_problem() -> None:
    with plug({**ANSWERS, STATUS: {"StatusSNS": {"Time": "2024-03-01T10:00:00"}}}) as state:
        (problem,) = found(discover, meter("tasmota", state.url)).problems
        assert problem.reason == f"{state.url} reports no ENERGY"


def test_the_step_of_the_count_follows_from_its_digits() -> None:
    assert step_of(b'{"StatusSNS":{"ENERGY":{"Total":3.185,"Power":38}}}') == pytest.approx(3600)
    assert step_of(b'{"StatusSNS":{"ENERGY":{"Total": 3.18512}}}') == pytest.approx(36)
    for body in (b"", b'{"Total":3}', b'{"Total":"3.1"}'):
        assert step_of(body) == pytest.approx(3600)
