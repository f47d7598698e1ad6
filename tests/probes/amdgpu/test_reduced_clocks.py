import math

import pytest

from amd_cards import RADEON, metrics_table, pci_card
from hwmon_readings import readings
from probes.amdgpu.metrics_table import decode
from probes.amdgpu.sensors import ReducedTime
from probes.model import Device, Kind, Reason, Rejection

FIRST = "0000:05:00.0"
GPU = Device(FIRST, Kind.GPU)


def reduced_table(seconds, cycles, ppt_cycles, **fields):
    known = {"accumulation_counter": cycles, "prochot": 0, "socket_thm": 0, "vr_thm": 0, "hbm_thm": 0}
    clock = 10**12 + round(seconds * 1e9)
    return decode(metrics_table((1, 6), system_clock_counter=clock, **{**known, "ppt": ppt_cycles, **fields}))


@pytest.mark.parametrize(
    ("mask", "reasons"),
    [
        (0, 0),
        (1 << 0, 0x04),
        (1 << 7 | 1 << 16, 0x04),
        (1 << 23, 0x04),
        (1 << 32, 0x20),
        (1 << 45, 0x20),
        (1 << 46, 0x08),
        (1 << 47 | 1 << 36 | 1, 0x2C),
        (1 << 57, 0),
    ],
)
def test_the_reasons_for_reduced_clocks_have_the_bits_of_nvml(tmp_path, found, mask, reasons):
    folder = pci_card(tmp_path, FIRST, RADEON)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3), indep_throttle_status=mask))
    assert readings(*found().probes) == {(FIRST, "package", "throttle_reasons"): reasons}


def test_reasons_that_a_later_table_lacks_are_a_sentinel(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, RADEON)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3), indep_throttle_status=1))
    (probe,) = found().probes
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 3)))
    assert math.isnan(probe.read(0)[0])
    assert probe.rejections == [Rejection(0, Reason.SENTINEL)]


def test_the_time_of_reduced_clocks_is_the_share_of_the_cycles():
    times = ReducedTime(GPU)
    assert times.advance(reduced_table(0, 5000, 100)) == [0.0] * 5
    assert times.advance(reduced_table(10, 15000, 2600)) == [0.0, 2.5, 0.0, 0.0, 0.0]
    assert times.advance(reduced_table(20, 25000, 2600)) == [0.0, 2.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param((10, 300, 200), id="the cycles restarted"),
        pytest.param((10, 5000, 3000), id="no cycle passed"),
        pytest.param((10, 6000, 9000), id="more reduced cycles than cycles"),
        pytest.param((10, 6000, 50), id="the count fell"),
    ],
)
def test_a_count_that_cannot_have_grown_so_adds_nothing(later):
    times = ReducedTime(GPU)
    times.advance(reduced_table(0, 5000, 100))
    assert times.advance(reduced_table(*later))[1] == 0.0


def test_a_missing_count_has_no_value_and_continues_later():
    times = ReducedTime(GPU)
    times.advance(reduced_table(0, 1000, 0))
    assert all(map(math.isnan, times.advance(decode(metrics_table((1, 6))))))
    assert math.isnan(times.advance(reduced_table(10, 2000, 0, prochot=0xFFFFFFFF))[0])
    assert times.advance(reduced_table(20, 3000, 500))[1] == 5.0
