"""Modbus meters behind a server of pymodbus, with the documented registers."""

from __future__ import annotations

import struct

import pytest

from meters import SECOND, found, meter, only_probe, values_of
from modbus_server import modbus, registers_of
from probes.errors import ReadError
from probes.modbus import discover
from waiting import await_true

SDM = {("input", 12): registers_of("f", 38.5), ("input", 72): registers_of("f", 123.25)}


@pytest.mark.parametrize(
    ("preset", "registers"),
    [
        ("eastron-sdm120", SDM),
        ("eastron-sdm630", {("input", 52): registers_of("f", 38.5), ("input", 72): registers_of("f", 123.25)}),
        (
            "shelly-pro-3em",
            {("input", 1013): registers_of("f", 38.5)[::-1], ("input", 1162): registers_of("f", 123_250.0)[::-1]},
        ),
        ("janitza", {("holding", 19026): registers_of("f", 38.5), ("holding", 19068): registers_of("f", 123_250.0)}),
    ],
)
def test_the_registers_of_a_preset_are_read(preset: str, registers) -> None:
    with modbus(registers) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, preset=preset)))
        assert values_of(probe, SECOND) == {"power_watts": 38.5, "energy_joules": 123.25 * 3.6e6}
        probe.close()


def test_own_registers_are_read_in_their_unit() -> None:
    keys = {"power": "holding:4:int32:swapped", "energy": "holding:8:uint64", "energy_unit": "Wh"}
    with modbus({("holding", 4): registers_of("i", 40)[::-1], ("holding", 8): registers_of("Q", 5_000)}) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, **keys)))
        assert values_of(probe, SECOND) == {"power_watts": 40.0, "energy_joules": 5000 * 3600.0}
        assert probe.channels[0].resolution == 3600.0
        probe.close()


def test_a_gateway_that_passes_on_serial_frames_is_read() -> None:
    with modbus(SDM, rtu=True) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, preset="eastron-sdm120")))
        assert values_of(probe, SECOND)["power_watts"] == 38.5
        probe.close()


def test_the_unit_is_that_of_part() -> None:
    with modbus(SDM) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, preset="eastron-sdm120", part="7")))
        probe.close()
        assert {unit for unit, *_ in server.requests} == {7}
        assert {code for _, code, *_ in server.requests} == {4}
        (problem,) = found(discover, meter("modbus", server.url, preset="eastron-sdm120", part="300")).problems
        assert "is not a unit of Modbus" in problem.reason


def test_the_step_of_a_float_count_is_at_least_that_of_its_size() -> None:
    count = 20_000.0
    with modbus({**SDM, ("input", 72): registers_of("f", count)}) as server:
        probe = only_probe(
            found(discover, meter("modbus", server.url, power="input:12:float32", energy="input:72:float32"))
        )
        near = struct.unpack(">f", struct.pack(">I", struct.unpack(">I", struct.pack(">f", count))[0] + 1))[0]
        assert probe.channels[0].resolution == max(3.6e6, (near - count) * 3.6e6)
        probe.close()


def test_a_missing_register_is_a_problem() -> None:
    with modbus({("input", 12): registers_of("f", 38.5)}) as server:
        (problem,) = found(discover, meter("modbus", server.url, preset="eastron-sdm120")).problems
        assert "has no register 72 of unit 1" in problem.reason


def test_a_meter_without_numbers_is_no_sample() -> None:
    with modbus(dict(SDM)) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, preset="eastron-sdm120")))
        server.registers.update({("input", 12): [0xFFFF, 0xFFFF], ("input", 72): [0x7FC0, 0]})
        with pytest.raises(ReadError, match="reports neither power nor energy"):
            probe.read(SECOND)
        probe.close()


def test_a_meter_that_returns_is_read_again() -> None:
    with modbus(SDM) as server:
        probe = only_probe(found(discover, meter("modbus", server.url, preset="eastron-sdm120")))
        server.stop()
        with pytest.raises(ReadError):
            probe.read(SECOND)
        server.start()
        times = iter(range(2, 1000))

        def is_read() -> bool:
            try:
                return values_of(probe, next(times) * SECOND).get("power_watts") == 38.5
            except ReadError:
                return False

        await_true(is_read)
        probe.close()
