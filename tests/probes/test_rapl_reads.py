"""The values of RAPL zones: wraps, resets, limits and zones that fail."""

import math

import pytest

from fake_files import FAILED, GONE, FakeFiles
from probes import rapl
from probes.counter import Counter
from probes.errors import DeviceLostError, ReadError
from probes.model import Channel, Device, Kind, Reason, Rejection
from trees import powercap_zone, roots, write

SECOND = 1_000_000_000


def test_a_counter_wraps_at_its_own_range(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 65_000_000_000, range_uj=65_712_999_613)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    (before,) = probe.read(0)
    write(zone / "energy_uj", 100_000_000)
    (after,) = probe.read(4 * SECOND)
    assert after - before == pytest.approx(712.999613 + 100)
    assert probe.rejections == []


def test_a_fall_that_no_wrap_explains_is_a_reset_without_a_value(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000_000, limit_uw=100_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    (before,) = probe.read(0)
    write(zone / "energy_uj", 1_000_000)
    (during,) = probe.read(SECOND)
    assert math.isnan(during)
    assert [(r.channel, r.reason) for r in probe.rejections] == [(0, Reason.RESET)]
    write(zone / "energy_uj", 51_000_000)
    (after,) = probe.read(2 * SECOND)
    assert after - before == pytest.approx(50)


def test_a_zone_without_a_number_gives_no_sample_and_the_others_do(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 1_000_000)
    powercap_zone(sysfs, "intel-rapl:1", "package-1", 2_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    write(zone / "energy_uj", "N/A")
    first, second = probe.read(0)
    assert math.isnan(first)
    assert second == 2.0
    assert [(r.channel, r.reason) for r in probe.rejections] == [(0, Reason.READ_ERROR)]


def test_a_read_without_any_answer_is_a_read_error(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 1_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    write(zone / "energy_uj", "")
    with pytest.raises(ReadError, match="energy_uj"):
        probe.read(0)
    probe.close()


def zones_of(answers, *names):
    channels = [Channel(Device(name, Kind.CPU), "package", "energy_joules") for name in names]
    counters = [Counter(262_143_328_911, 2e9, 0.001) for _ in names]
    return rapl.RaplProbe(list(zip(channels, answers.files, counters, strict=True)), answers.pread)


def test_a_removed_package_affects_only_its_own_channel(tmp_path):
    answers = FakeFiles(tmp_path, 1_000_000, 2_000_000)
    probe = zones_of(answers, "package-0", "package-1")
    assert probe.read(0) == [1.0, 2.0]
    answers.now = [GONE, 3_000_000]
    first, second = probe.read(SECOND)
    assert math.isnan(first)
    assert second == 3.0
    assert probe.rejections == [Rejection(0, Reason.DEVICE_LOST)]


def test_the_probe_is_lost_if_every_package_is_removed(tmp_path):
    answers = FakeFiles(tmp_path, 1_000_000, 2_000_000)
    probe = zones_of(answers, "package-0", "package-1")
    answers.now = [GONE, GONE]
    with pytest.raises(DeviceLostError, match="removed"):
        probe.read(0)
    assert probe.rejections == []


def test_a_missed_read_loses_no_energy(tmp_path):
    answers = FakeFiles(tmp_path, 1_000_000, 2_000_000)
    probe = zones_of(answers, "package-0", "package-1")
    probe.read(0)
    answers.now = [FAILED, 2_500_000]
    assert probe.read(SECOND)[1] == 2.5
    answers.now = [3_000_000, 4_000_000]
    assert probe.read(2 * SECOND) == [3.0, 4.0]


def test_a_zone_wraps_one_step_above_its_highest_value(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 262143328850 - 61)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert probe.channels[0].wraps_at == pytest.approx(262143.328911, abs=1e-9)
    (before,) = probe.read(0)
    write(zone / "energy_uj", 61)
    (after,) = probe.read(SECOND)
    assert after - before == pytest.approx(183e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("range_uj", "joules"),
    [
        (262_143_328_850, 61.035e-6),
        (65_712_999_613, 15.3e-6),
        (4_294_967_295_000_000, 1.0),
        (0, 2.0**-14),
        (1_000, 2.0**-14),
        (10**18, 2.0**-14),
    ],
)
def test_the_range_of_a_zone_determines_its_step(tmp_path, range_uj, joules):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "psys", 1, range_uj=range_uj)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert probe.channels[0].resolution == pytest.approx(joules, rel=1e-5)


def test_a_zone_that_counts_in_joules_loses_none_between_frequent_reads(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "psys", 5_000_000, range_uj=4_294_967_295_000_000, limit_uw=65_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert probe.read(0) == [5.0]
    write(zone / "energy_uj", 6_000_000)
    assert probe.read(SECOND // 2000) == [6.0]
    assert probe.rejections == []


def test_a_zone_of_all_ones_is_rejected(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    probe.read(0)
    write(zone / "energy_uj", 262143328850)
    assert math.isnan(probe.read(SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.SENTINEL)]
    write(zone / "energy_uj", 6_000_000)
    assert probe.read(2 * SECOND) == [6.0]


def test_no_energy_is_counted_over_a_pause_in_which_a_zone_may_wrap_twice(tmp_path):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000, limit_uw=100_000_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    (before,) = probe.read(0)
    write(zone / "energy_uj", 9_000_000)
    assert math.isnan(probe.read(700 * SECOND)[0])
    assert probe.rejections == [Rejection(0, Reason.WRAP_UNKNOWN)]
    write(zone / "energy_uj", 10_000_000)
    assert probe.read(701 * SECOND)[0] - before == pytest.approx(1.0)


def test_a_limit_of_all_bits_set_is_no_limit(tmp_path):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 1, limit_uw=4_095_875_000)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert probe.channels[0].max_plausible == 0.0


@pytest.mark.parametrize(("max_power", "limit"), [(None, 0.0), (120_000_000, 4 * 120.0)])
def test_the_setting_of_a_disabled_zone_is_not_a_limit(tmp_path, max_power, limit):
    sysfs = tmp_path / "sys"
    zone = powercap_zone(sysfs, "intel-rapl:0", "package-0", 1, limit_uw=200_000_000)
    write(zone / "enabled", 0)
    if max_power:
        write(zone / "constraint_0_max_power_uw", max_power)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert probe.channels[0].max_plausible == limit


def test_the_limit_of_a_zone_applies_unless_the_zone_is_disabled(tmp_path):
    sysfs = tmp_path / "sys"
    zones = [powercap_zone(sysfs, f"intel-rapl:{i}", f"package-{i}", 1, limit_uw=200_000_000) for i in (0, 1)]
    (zones[1] / "enabled").unlink()
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    assert [channel.max_plausible for channel in probe.channels] == [800.0, 800.0]
