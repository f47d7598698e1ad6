"""The registers of Modbus meters: documented maps, and every content of a register."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meters import meter
from probes.modbus.registers import PRESETS, Register, check_place, map_of, number_in, register_of, step_of


def registers(form: str, value: float) -> list[int]:
    content = struct.pack(f">{form}", value)
    return list(struct.unpack(f">{len(content) // 2}H", content))


@pytest.mark.parametrize(
    ("type_name", "form", "value"),
    [
        ("uint16", "H", 40_000),
        ("int16", "h", -1),
        ("uint32", "I", 3_000_000_000),
        ("int32", "i", -5),
        ("uint64", "Q", 2**40),
        ("int64", "q", -(2**40)),
        ("float32", "f", 38.5),
        ("float64", "d", 38.4),
    ],
)
def test_a_number_is_read_in_both_orders_of_registers(type_name: str, form: str, value: float) -> None:
    content = registers(form, value)
    assert number_in(content, Register(True, 0, type_name)) == value
    assert number_in(content[::-1], Register(True, 0, type_name, is_swapped=True)) == value


@pytest.mark.parametrize(
    ("type_name", "content"),
    [
        ("uint16", [0xFFFF]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("int16", [0x8000]),
        ("int32", [0x8000, 0]),
        ("int32", [0x7FFF, 0xFFFF]),
        ("float32", [0x7FC0, 0]),
        ("float32", [0xFFFF, 0xFFFF]),
        ("float32", [0x7F80, 0]),
        ("float32", []),
        ("float32", [1]),
        ("float32", [1, 2, 3]),
        ("uint16", [-1]),
        ("uint16", [70_000]),
    ],
)
def test_a_sign_of_no_value_is_no_number(type_name: str, content: list[int]) -> None:
    assert number_in(content, Register(True, 0, type_name)) is None


def test_a_register_is_named_by_its_table_address_and_type() -> None:
    assert register_of("input:12:float32") == Register(True, 12, "float32")
    assert register_of("holding:4:uint32:swapped") == Register(False, 4, "uint32", is_swapped=True)
    assert [register_of(f"input:0:{name}").count for name in ("uint16", "float32", "float64")] == [1, 2, 4]
    for text in ("12", "coil:1:uint16", "input:1:bool", "input:70000:uint16", "input:1:uint16:big", "input:-1:uint16"):
        with pytest.raises(ValueError, match="is not a register"):
            check_place(text)


def test_own_registers_replace_those_of_the_preset() -> None:
    usual = PRESETS["eastron-sdm120"]
    assert map_of(meter("modbus", "modbus://a", preset="eastron-sdm120")) == usual
    mine = map_of(meter("modbus", "modbus://a", preset="eastron-sdm120", energy="input:342:float32"))
    assert (mine.power, mine.energy, mine.step_joules) == (usual.power, Register(True, 342, "float32"), 3.6e6)
    own = map_of(meter("modbus", "modbus://a", power="holding:1:int16", energy_unit="Wh"))
    assert (own.power, own.energy, own.energy_unit) == (Register(False, 1, "int16"), None, "Wh")


def test_the_step_of_a_float_grows_with_its_value() -> None:
    register = Register(True, 0, "float32")
    assert step_of(register, 0.01, 0.0) == 0.01
    assert step_of(register, 0.01, 1e6) == 0.0625
    assert step_of(Register(True, 0, "uint32"), 1.0, 1e9) == 1.0
    value = 123_456.789
    near = struct.unpack(">f", struct.pack(">f", value))[0]
    nearest = struct.unpack(">f", struct.pack(">I", struct.unpack(">I", struct.pack(">f", near))[0] + 1))[0]
    assert step_of(register, 0.0, value) == nearest - near


@given(some.lists(some.integers(-10, 70_000), max_size=5), some.sampled_from(["uint16", "int32", "float32", "float64"]))
def test_no_content_makes_the_parser_raise(content: list[int], type_name: str) -> None:
    value = number_in(content, Register(True, 0, type_name))
    assert value is None or math.isfinite(value)
