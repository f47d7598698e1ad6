"""The accounts of servers on a scripted machine, whose true energy of each part is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attribution.claims import HostActivity, ServerActivity
from agent.attribution.device_energy import DeviceEnergy
from agent.attribution.exposition import ServerReading
from agent.attribution.ledger import Observation, ServerObservation, Totals
from agent.attribution.load import level, parse_histogram
from agent.cost.tariff import Tariff
from agent.energy.bounds import Energy
from serving_rig import SECOND, START, STEP, Rig, drain, server


@pytest.mark.parametrize(("kind", "method"), [("cpu", "cpu_time"), ("gpu", "gpu_time")])
def test_each_part_matches_the_truth_of_the_machine(kind: str, method: str) -> None:
    rig = Rig([server("a"), server("b", devices=["dev"])], kind)
    drain(rig, 2)
    first, before = rig.truth["idle"], rig.part("a", "idle") + rig.part("b", "idle")
    other = rig.ledger.totals.parts["dev", "unattributed", "measured"]
    assert before == pytest.approx(first, rel=0.02)
    assert other == pytest.approx(0, abs=0.01 * first)
    for n in range(120):
        rig.step({"a": 2.0 + n % 3, "b": 1.0}, 0.5)
    idle = rig.part("a", "idle") + rig.part("b", "idle") - before
    assert idle == pytest.approx(rig.truth["idle"] - first, rel=0.02)
    assert rig.part("a", "attributed") == pytest.approx(rig.truth["a"], rel=0.03)
    assert rig.part("b", "attributed") == pytest.approx(rig.truth["b"], rel=0.05)
    other = rig.ledger.totals.parts["dev", "unattributed", "measured"] - other
    assert other == pytest.approx(rig.truth["others"], rel=0.05)
    assert {key[3] for key in rig.ledger.totals.joules if key[2] == "attributed"} == {method}
    (device,) = rig.ledger.snapshot.devices
    assert abs(device.residual) <= device.residual_bound
    assert device.idle.at_ns == START + 120 * SECOND


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 8), st.floats(0, 8), st.floats(0, 4), st.booleans(), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from(["cpu", "gpu"]),
    st.booleans(),
    st.integers(0, 9),
)
def test_energy_is_conserved_whatever_the_servers_do(
    steps: list[tuple[float, float, float, bool, bool]], kind: str, visible: bool, seed: int
) -> None:
    """All joules of the device are in one of the parts, but for the residual, which stays within its bound."""
    rig = Rig([server("a", devices=["dev"]), server("b", devices=["dev"])], kind, visible=visible, seed=seed)
    drain(rig)
    for a, b, others, fails, late in steps:
        rig.step({"a": a, "b": b}, others, failing=["a"] if fails else (), late=late)
    parts = rig.ledger.totals.parts
    (device,) = rig.ledger.snapshot.devices
    by_server = {part: rig.part("a", part) + rig.part("b", part) for part in ("idle", "attributed")}
    assert all(value >= 0 for value in (*parts.values(), *rig.ledger.totals.joules.values()))
    for part, joules in by_server.items():
        assert parts["dev", part, "measured"] == pytest.approx(joules, rel=1e-9, abs=1e-6)
    assert abs(device.residual) <= device.residual_bound + 1e-6
    shown = sum(value for key, value in parts.items() if key[0] == "dev") + device.residual
    on_time = sum(rig.truth.values()) if not any(late for *_, late in steps) else shown
    assert shown == pytest.approx(on_time, rel=0.011)


def test_work_while_the_sensor_is_late_counts_for_the_next_energy() -> None:
    rig = Rig([server("a", devices=["dev"])])
    drain(rig)
    rig.step({"a": 4.0}, late=True)
    assert rig.part("a", "attributed") == pytest.approx(0, abs=10)
    rig.step({}, 2.0)
    assert rig.part("a", "attributed") == pytest.approx(160 * 4 / 6, rel=0.1)


def test_two_servers_without_visible_processes_are_split_by_tokens() -> None:
    rig = Rig([server("a", devices=["dev"]), server("b", devices=["dev"])], "gpu", visible=False)
    drain(rig)
    rig.step({"a": 3.0, "b": 1.0})
    joules = rig.ledger.totals.joules
    assert {key[3] for key in joules if key[2] == "attributed" and joules[key] > 50} == {"tokens"}
    assert rig.part("a", "attributed") == pytest.approx(rig.part("b", "attributed"))


def test_the_only_server_of_a_device_without_visible_processes_has_all_energy_above_idle() -> None:
    rig = Rig([server("a", devices=["dev"])], "gpu", visible=False)
    drain(rig)
    before = rig.part("a", "attributed")
    rig.step({"a": 3.0}, 1.0)
    assert rig.part("a", "attributed") - before == pytest.approx(320, rel=0.05)
    assert ("a", "m", "attributed", "device", "measured") in rig.ledger.totals.joules


def test_a_processor_whose_busy_time_is_unknown_belongs_to_its_only_server() -> None:
    rig = Rig([server("a", devices=["dev"])])
    seen = {
        "a": ServerObservation(ServerReading({"m": {"requests": 0.0}}), activity=ServerActivity(frozenset({1}), 1.0))
    }
    energies = [DeviceEnergy("dev", "cpu", Energy(100, 100, 100), 0, 5 * SECOND, "measured")]
    rig.ledger.observe(Observation(START, STEP, seen, HostActivity(), energies))
    assert ("a", "m", "attributed", "device", "measured") in rig.ledger.totals.joules


def test_a_server_without_devices_and_processes_has_no_energy() -> None:
    rig = Rig([server("a")], visible=False)
    for _ in range(30):
        rig.step({"a": 3.0})
    assert rig.ledger.totals.joules == {}
    (model,) = rig.ledger.snapshot.models
    assert model.counts["output_tokens"] == 2900
    assert rig.ledger.snapshot.servers[0].devices == ()


def test_the_devices_of_a_visible_server_are_its_gpus_and_the_processors() -> None:
    rig = Rig([server("a")], "gpu")
    rig.step({"a": 1.0})
    assert rig.ledger.snapshot.servers[0].devices == ("dev",)
    rig = Rig([server("a")], "cpu")
    rig.step()
    assert rig.ledger.snapshot.servers[0].devices == ("dev",)
    rig = Rig([server("a")], "npu")
    rig.step()
    assert rig.ledger.snapshot.servers[0].devices == ()


def test_joules_per_token_and_cost_are_those_of_the_window() -> None:
    tariff = Tariff(price_per_kwh=0.36, pue=1.0, capital=8760.0, life_years=1.0, currency="EUR")
    rig = Rig([server("a", devices=["dev"])], tariff=tariff)
    drain(rig)
    for _ in range(12):
        rig.step({"a": 4.0})
    (model,) = rig.ledger.snapshot.models
    assert model.window is not None
    assert model.window.window_seconds == 60
    per_token = model.window.joules_per_output_token
    assert per_token is not None
    assert per_token.joules == pytest.approx((50 * 5 + 320) / 100, rel=0.01)
    assert per_token.lower < per_token.joules < per_token.upper
    assert model.source == "measured"
    blended = next(cost for cost in model.costs if not cost.phase)
    energy, machine = 12 * 570 / 3.6e6 * 0.36, 60 / 3600
    assert blended.amount == pytest.approx((energy + machine) / 1800 * 1e6, rel=0.01)
    assert rig.ledger.snapshot.currency == "EUR"


def test_a_vanished_server_keeps_its_energy_and_loses_its_window() -> None:
    rig = Rig([server("a", devices=["dev"])])
    drain(rig)
    for _ in range(12):
        rig.step({"a": 4.0})
    assert rig.ledger.snapshot.models[0].window
    before = rig.part("a", "attributed")
    rig.step({"a": 4.0}, failing=["a"])
    state = rig.ledger.snapshot.servers[0]
    assert (state.up, dict(state.errors), state.running) == (False, {"connection": 1}, None)
    assert rig.ledger.snapshot.models[0].window is None
    assert rig.part("a", "attributed") > before
    rig.step({"a": 4.0})
    assert rig.ledger.snapshot.models[0].counts["output_tokens"] == 13 * 100


def test_idle_power_is_not_measured_while_a_server_is_down() -> None:
    rig = Rig([server("a", devices=["dev"])])
    for _ in range(40):
        rig.step(failing=["a"])
    assert rig.ledger.snapshot.devices[0].idle.at_ns is None


def test_other_work_on_the_device_delays_the_measurement_of_idle_power() -> None:
    for kind, others in (("cpu", 4.0), ("gpu", 1.0)):
        rig = Rig([server("a", devices=["dev"])], kind)
        for _ in range(24):
            rig.step({}, others)
        assert rig.ledger.snapshot.devices[0].idle.at_ns is None


def test_a_model_swapped_under_the_same_name_has_its_own_totals() -> None:
    rig = Rig([server("a", devices=["dev"])])
    drain(rig)
    for _ in range(12):
        rig.step({"a": 4.0})
    rig.counts.clear()
    for _ in range(12):
        rig.step({"a": 4.0}, model="new")
    old, new = rig.ledger.snapshot.models
    assert (old.model, old.counts["output_tokens"], old.window) == ("m", 1200, None)
    assert (new.model, new.counts["output_tokens"]) == ("new", 1200)
    assert new.window
    assert sum(new.joules.values()) == pytest.approx(12 * 570, rel=0.05)


def test_the_models_of_one_server_share_its_energy_by_tokens() -> None:
    rig = Rig([server("a", devices=["dev"])], "gpu", visible=False)
    tokens = ((0, 0), (3, 3), (6, 4))
    readings = [ServerReading({"x": {"output_tokens": x}, "y": {"output_tokens": y}}) for x, y in tokens]
    for n, reading in enumerate(readings):
        energy = DeviceEnergy("dev", "gpu", Energy(100, 100, 100), n, n + 5 * SECOND, "measured")
        seen = {"a": ServerObservation(reading)}
        rig.ledger.observe(Observation(START + 5 * n * SECOND, STEP, seen, HostActivity(), [energy]))
    attributed = {key[1]: value for key, value in rig.ledger.totals.joules.items() if key[2] == "attributed"}
    assert attributed == {"x": 50 + 75, "y": 50 + 25}


def test_totals_and_hours_go_on_after_a_restart() -> None:
    rig = Rig([server("a", devices=["dev"])])
    for _ in range(12):
        rig.step({"a": 4.0}, waiting=1.0)
    stored = rig.ledger.hours("host")
    after = Rig([server("a", devices=["dev"])], totals=rig.ledger.totals, seconds=60.0)
    after.ledger.resume([*stored, replace(stored[0], server="gone")])
    for _ in range(12):
        after.step({"a": 4.0})
    (model,) = after.ledger.snapshot.models
    assert model.counts["output_tokens"] == 1100 + 1100
    (hour,) = after.ledger.hours("host")
    assert (hour.basis, hour.bins, hour.censored_bins, hour.output_tokens) == ("arrivals", 12, 6, 2200)
    assert hour.attributed_joules == pytest.approx(model.joules["attributed", "cpu_time", "measured"])


def test_tokens_after_a_restart_count_once_when_its_process_is_found_later() -> None:
    rig = Rig([server("a")])
    ages = {
        100.0: None,
        60.0: ServerActivity(frozenset({1}), 0.0, 12.0),
        70.0: ServerActivity(frozenset({1}), 0.0, 17.0),
    }
    for n, (tokens, activity) in enumerate(ages.items()):
        seen = {"a": ServerObservation(ServerReading({"m": {"output_tokens": tokens}}), activity=activity)}
        rig.ledger.observe(Observation(START + 5 * n * SECOND, STEP, seen))
    assert rig.ledger.totals.counts["a", "m", "output_tokens"] == 60 + 10


def test_a_restart_during_failed_scrapes_is_seen_by_the_age_of_the_process() -> None:
    rig = Rig([server("a")])
    young = ServerActivity(frozenset({2}), 0.0, 7.0)
    for n, (tokens, activity) in enumerate([(100.0, None), (None, None), (None, young), (150.0, young)]):
        reading = None if tokens is None else ServerReading({"m": {"output_tokens": tokens}})
        seen = {"a": ServerObservation(reading, "" if reading else "connection", activity)}
        rig.ledger.observe(Observation(START + 5 * n * SECOND, STEP, seen))
    assert rig.ledger.totals.counts["a", "m", "output_tokens"] == 150
    assert rig.ledger.snapshot.servers[0].restarts == 1


def test_the_load_between_two_readings_is_spread_over_the_failed_scrapes() -> None:
    rig = Rig([server("a")])
    for n in range(13):
        reading = None if n in {3, 4, 7} else ServerReading({"m": {"output_tokens": 100.0 * n}})
        seen = {"a": ServerObservation(reading, "timeout" if n in {3, 4} else "")}
        rig.ledger.observe(Observation(START + 5 * n * SECOND, STEP, seen))
    (hour,) = [each for each in rig.ledger.hours("host") if each.hour == 480_000]
    assert set(parse_histogram(hour.tokens_histogram)) == {level(20.0)}
    assert hour.bins == 6


def test_the_load_of_a_server_that_counts_arrivals_is_that_of_arrivals() -> None:
    rig = Rig([server("a", "tei", ["dev"])])
    for n in range(1, 5):
        counts = {"arrivals": 10.0 * n, "requests": 5.0 * n}
        seen = {"a": ServerObservation(ServerReading({"": counts}))}
        rig.ledger.observe(Observation(START + 5 * n * SECOND, STEP, seen))
    (hour,) = rig.ledger.hours("host")
    assert (hour.basis, hour.requests, hour.source) == ("arrivals", 30, "")


def test_a_server_on_devices_of_different_sources_has_mixed_energy() -> None:
    rig = Rig([server("a", devices=["dev", "other"])])
    energies = [
        DeviceEnergy("dev", "cpu", Energy(1, 1, 1), 0, 5 * SECOND, "measured"),
        DeviceEnergy("other", "cpu", Energy(1, 1, 1), 0, 5 * SECOND, "estimated"),
    ]
    seen = {"a": ServerObservation(ServerReading({"": {"output_tokens": 1.0}}))}
    rig.ledger.observe(Observation(START, STEP, seen, HostActivity(), energies))
    assert rig.ledger.snapshot.models[0].source == "mixed"


def test_totals_of_a_server_that_was_removed_are_not_exported() -> None:
    totals = Totals()
    totals.counts["gone", "m", "requests"] = 5.0
    rig = Rig([server("a")], totals=totals)
    rig.step()
    assert [each.server for each in rig.ledger.snapshot.models] == ["a"]


def test_idle_power_goes_on_after_a_restart() -> None:
    rig = Rig([server("a", devices=["dev"])])
    drain(rig)
    after = Rig([server("a", devices=["dev"])], totals=rig.ledger.totals, seconds=60.0)
    before = after.part("a", "idle")
    for _ in range(6):
        after.step({"a": 4.0})
    assert after.part("a", "idle") - before == pytest.approx(50 * 30, rel=0.02)
    assert after.ledger.snapshot.devices[0].idle.at_ns == START + 60 * SECOND
