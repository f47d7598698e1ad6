import pytest

from amd_cards import JOULE, STRUCTURES, metrics_table
from probes.amdgpu.metrics_table import LAYOUTS, MOST_BYTES, MetricsTable, decode

DISCRETE = [version for version in STRUCTURES if version[0] == 1]
WITH_REASONS = [(1, 3), (2, 2), (2, 3), (2, 4)]
LIMITED = {"prochot": 1, "ppt": 2, "socket_thm": 3, "vr_thm": 4, "hbm_thm": 5}


@pytest.mark.parametrize("version", DISCRETE)
def test_energy_time_power_and_activity_are_read_from_every_format_of_cards(version):
    fields = {"energy_accumulator": 77 * JOULE, "system_clock_counter": 123, "socket_power": 311}
    table = decode(metrics_table(version, **fields, average_gfx_activity=87))
    assert table == MetricsTable(version, 123, 77 * JOULE, 311.0, None, 0.87, limited=table.limited)


@pytest.mark.parametrize("version", WITH_REASONS)
def test_the_mask_of_reasons_is_read_from_the_formats_with_one_that_all_chips_share(version):
    assert decode(metrics_table(version, indep_throttle_status=1 << 36 | 1)).throttle == 1 << 36 | 1


@pytest.mark.parametrize("version", [version for version in STRUCTURES if version not in WITH_REASONS])
def test_a_mask_whose_meaning_depends_on_the_chip_is_not_read(version):
    fields = {name for name, *_ in STRUCTURES[version]} & {"throttle_status"}
    assert decode(metrics_table(version, socket_power=1, **dict.fromkeys(fields, 5))).throttle is None


@pytest.mark.parametrize("version", [(1, 6), (1, 7), (1, 8)])
def test_the_counts_of_reduced_clocks_are_read_from_mi300_and_later(version):
    table = decode(metrics_table(version, accumulation_counter=9, **LIMITED))
    assert (table.cycles, table.limited) == (9, (1, 2, 3, 4, 5))
    assert table.throttle is None


@pytest.mark.parametrize("version", [(2, 4), (3, 0)])
def test_powers_of_apus_with_a_stated_unit_count_in_milliwatts(version):
    table = decode(metrics_table(version, socket_power=17_123, gfx_power=9_001))
    assert (table.power, table.graphics_power) == (17.123, 9.001)


@pytest.mark.parametrize("version", [(2, 1), (2, 2), (2, 3)])
def test_powers_of_apus_without_a_stated_unit_are_left_out(version):
    table = decode(metrics_table(version, socket_power=17_123, gfx_power=9_001, average_gfx_activity=5_000))
    assert (table.power, table.graphics_power, table.activity) == (None, None, None)


@pytest.mark.parametrize("version", STRUCTURES)
def test_a_table_that_the_firmware_did_not_fill_has_no_value(version):
    table = decode(metrics_table(version))
    assert {table.clock_ns, table.energy, table.power, table.graphics_power, table.activity} == {None}
    assert {table.throttle, table.cycles, *table.limited} == {None}


@pytest.mark.parametrize("version", STRUCTURES)
def test_a_truncated_table_or_one_of_another_size_is_rejected(version):
    sound = metrics_table(version, socket_power=1)
    assert decode(sound) is not None
    assert decode(sound[:-1]) is None
    assert decode((len(sound) + 8).to_bytes(2, "little") + sound[2:] + b"\0" * 8) is None


@pytest.mark.parametrize("raw", [b"", b"\x78", b"\x78\x00\x01", b"\xff" * 4, b"\x00" * 300])
def test_bytes_that_are_no_table_are_rejected(raw):
    assert decode(raw) is None


@pytest.mark.parametrize("version", [(1, 0), (1, 9), (2, 0), (2, 5), (3, 1), (4, 0)])
def test_a_format_without_a_known_layout_is_rejected(version):
    size = 120
    assert decode(size.to_bytes(2, "little") + bytes(version) + b"\x01" * size) is None


def test_trailing_bytes_after_a_table_are_ignored():
    assert decode(metrics_table((1, 3), socket_power=5) + b"\xff" * 50).power == 5.0


def test_every_known_format_fits_into_one_read_and_is_tested():
    assert max(size for layout in LAYOUTS.values() for size in layout.sizes) <= MOST_BYTES
    assert LAYOUTS.keys() == STRUCTURES.keys()


def test_both_sizes_of_format_1_8_have_the_same_first_fields():
    table = metrics_table((1, 8), energy_accumulator=5 * JOULE)
    shorter = (3360).to_bytes(2, "little") + table[2:3360]
    assert decode(shorter) == decode(table)
