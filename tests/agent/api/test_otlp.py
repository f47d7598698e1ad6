"""The export to OpenTelemetry, received over HTTP as protobuf."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.api.otlp import OtlpExport, device_readings, host_readings
from exported import ENERGY, GPU, HOST, NOW, POWER, SECOND, export, state, tick
from otlp_receiver import receiving
from probes.model import Channel, Device, Kind, Source
from store.records import Host, Layout
from waiting import await_true

if TYPE_CHECKING:
    import pytest

    from agent.api.metrics import Exporter

PACKAGE = Device("package-0", Kind.CPU, "Processor")
CORE = Channel(PACKAGE, "core", "energy_joules", contained_in=(("package-0", "package"), ("psys", "psys")))
MODEL = Channel(PACKAGE, "package", "power_watts", Source.ESTIMATED, uncertainty=0.5)
SUPPLY = Channel(Device("psu", Kind.PSU), "wall", "power_watts")
MACHINE = Host("host-id", "gpu-01")


def exporter() -> Exporter:
    layouts = [Layout(1, "gpu", (POWER, ENERGY)), Layout(2, "cpu", (CORE, MODEL, SUPPLY))]
    ticks = [tick(250.0, 1000.5), tick(300.0, 65.0, 410.0, layout=2)]
    return export(layouts, ticks=ticks, host=HOST)


def test_a_collector_receives_the_energy_and_power_of_devices_and_host():
    with receiving() as receiver:
        sent = OtlpExport(exporter(), MACHINE, receiver.url, 1.0)
        try:
            await_true(lambda: receiver.exports)
        finally:
            sent.stop(5.0)
    energies, powers = receiver.latest("hw.energy"), receiver.latest("hw.power")
    assert {name: point.value for name, point in energies.items()} == {"GPU-1/board": 0.0, "package-0/core": 0.0}
    assert {name: point.value for name, point in powers.items()} == {
        "GPU-1/board": 250.0,
        "package-0/package": 65.0,
        "psu/wall": 410.0,
    }
    assert {(point.kind, point.unit) for point in energies.values()} == {("sum", "J")}
    assert {(point.kind, point.unit) for point in powers.values()} == {("gauge", "W")}
    host = receiver.latest("hw.host.energy")["host-id"]
    assert (host.kind, host.unit, host.value) == ("sum", "J", 0.0)
    assert host.attributes["inferometer.boundary"] == "accelerator"
    assert receiver.latest("hw.host.power")["host-id"].value == HOST.watts
    named = {"service.name": "inferometer", "service.version": "1.2.3", "host.id": "host-id", "host.name": "gpu-01"}
    assert receiver.resource.items() >= named.items()
    assert receiver.headers["content-type"] == "application/x-protobuf"


def test_a_counter_begins_at_zero_at_its_start_time_after_each_start_of_the_service():
    """Else a backend adds the whole total to its sum again: https://opentelemetry.io/docs/specs/otel/metrics/data-model/."""
    points, joules = [], 1000.0
    with receiving() as receiver:
        for _start in range(2):
            running, exports = state(), receiver.exports
            shown = export(states=[running], ticks=[tick(250.0, joules)], host=HOST)
            sent = OtlpExport(shown, MACHINE, receiver.url, 0.2)
            try:
                await_true(lambda before=exports: receiver.exports > before + 1)
                running.latest = tick(250.0, joules + 7.5)
            finally:
                sent.stop(5.0)
            points.append([each for each in receiver.points if each.metric == "hw.energy"])
            receiver.points.clear()
            joules += 100.0
    for own in points:
        assert (own[0].value, own[-1].value) == (0.0, 7.5)
        assert len({each.start_ns for each in own}) == 1
        assert own[0].start_ns <= own[0].at_ns
    assert points[0][0].start_ns < points[0][-1].at_ns <= points[1][0].start_ns


def test_components_have_the_attributes_of_the_conventions():
    energies = {each["hw.id"]: each for _, each in device_readings(exporter(), "energy_joules")}
    powers = {each["hw.id"]: each for _, each in device_readings(exporter(), "power_watts")}
    assert energies["GPU-1/board"] == {
        "hw.id": "GPU-1/board",
        "hw.type": "gpu",
        "hw.name": GPU.name,
        "inferometer.source": "measured",
    }
    assert energies["package-0/core"]["hw.parent"] == "package-0/package"
    assert energies["package-0/core"]["hw.type"] == "cpu"
    assert powers["psu/wall"]["hw.type"] == "power_supply"
    assert powers["psu/wall"]["hw.name"] == "psu"
    assert powers["package-0/package"]["inferometer.source"] == "estimated"


def test_a_value_that_is_missing_or_stale_is_not_sent():
    stale = export(ticks=[tick(1.0, 2.0)], host=HOST, now_ns=NOW + 11 * SECOND)
    for metric in ("energy_joules", "power_watts"):
        assert [*device_readings(stale, metric), *host_readings(stale, MACHINE, metric)] == []
    unpowered = export(ticks=[tick(1.0, 2.0)], host=replace(HOST, watts=None))
    assert list(host_readings(unpowered, MACHINE, "power_watts")) == []
    assert [value for value, _ in host_readings(unpowered, MACHINE, "energy_joules")] == [HOST.joules]


def test_a_collector_that_fails_is_logged_once_and_does_not_delay_the_stop(caplog: pytest.LogCaptureFixture):
    with receiving() as receiver:
        receiver.status = 404
        sent = OtlpExport(exporter(), MACHINE, receiver.url, 1.0)
        await_true(lambda: receiver.headers)
        await_true(lambda: any(record.name == "inferometer.otlp" for record in caplog.records))
        sent.stop(2.0)
    messages = [record.message for record in caplog.records if record.name == "inferometer.otlp"]
    assert messages == ["the collector takes no metrics"]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_collector_that_is_gone_does_not_prevent_the_stop():
    with receiving() as receiver:
        url = receiver.url
    sent = OtlpExport(exporter(), MACHINE, url, 1.0)
    time.sleep(1.5)
    started = time.monotonic()
    sent.stop(1.0)
    assert time.monotonic() - started < 15
