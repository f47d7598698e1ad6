import json
import math
import os
import subprocess
import sys

import pytest

from fake_files import FAILED, GONE, FakeFiles
from nobody import nobody
from probes import rapl
from probes.counter import Counter
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Channel, Device, Kind, Reason, Rejection, Roots
from trees import FIXTURES, copy_tree, powercap_zone, write

SECOND = 1_000_000_000


def roots(sysfs, tmp_path, cpuinfo="vendor_id\t: GenuineIntel\n"):
    procfs = tmp_path / "proc"
    procfs.mkdir(exist_ok=True)
    (procfs / "cpuinfo").write_text(cpuinfo)
    return Roots(sysfs=str(sysfs), procfs=str(procfs))


def keys(found):
    (probe,) = found.probes
    return {channel.place for channel in probe.channels}


def test_a_two_socket_server_has_each_counter_once_and_the_mapped_twin_is_dropped(tmp_path):
    found = rapl.discover(roots(copy_tree("intel_server_2s", tmp_path / "tree"), tmp_path))
    assert keys(found) == {
        ("package-0", "package"),
        ("package-0", "dram"),
        ("package-1", "package"),
        ("package-1", "dram"),
        ("psys", "psys"),
    }
    assert found.problems == ()


def test_values_are_joules_of_the_zone_by_name(tmp_path):
    (probe,) = rapl.discover(roots(copy_tree("intel_server_2s", tmp_path / "tree"), tmp_path)).probes
    values = dict(zip([c.place for c in probe.channels], probe.read(0), strict=True))
    assert values["package-0", "package"] == pytest.approx(240422.366267)
    assert values["package-1", "dram"] == pytest.approx(53190.236373)
    assert values["psys", "psys"] == pytest.approx(118821.284256)


def test_the_index_of_a_zone_is_not_its_socket():
    found = rapl.discover(Roots(sysfs=str(FIXTURES / "procfs/sys"), procfs="/nowhere"))
    assert ("package-10", "package") in keys(found)
    assert ("package-0", "core") in keys(found)


def test_containment_prevents_double_counting(tmp_path):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 1)
    powercap_zone(sysfs, "intel-rapl:0:0", "core", 1)
    powercap_zone(sysfs, "intel-rapl:0:1", "uncore", 1)
    powercap_zone(sysfs, "intel-rapl:0:2", "dram", 1)
    powercap_zone(sysfs, "intel-rapl:1", "psys", 1)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    within = {c.place: c.contained_in for c in probe.channels}
    assert within["package-0", "core"] == (("package-0", "package"), ("psys", "psys"))
    assert within["package-0", "uncore"] == (("package-0", "package"), ("psys", "psys"))
    assert within["package-0", "dram"] == (("psys", "psys"),)
    assert within["package-0", "package"] == (("psys", "psys"),)
    assert within["psys", "psys"] == ()


@pytest.mark.parametrize("names", [("psys", "psys-1"), ("psys-1", "psys-2")])
def test_a_platform_zone_repeated_by_every_package_is_counted_once(tmp_path, names):
    sysfs = tmp_path / "sys"
    for index, name in enumerate(["package-0", "package-1", *names]):
        powercap_zone(sysfs, f"intel-rapl:{index}", name, 1)
    (probe,) = rapl.discover(roots(sysfs, tmp_path)).probes
    outermost = [c.device.id for c in probe.channels if not c.contained_in]
    assert outermost == [names[0]]
    assert {c.contained_in for c in probe.channels if c.contained_in} == {((names[0], "psys"),)}


def test_each_die_of_a_package_is_a_device(tmp_path):
    sysfs = tmp_path / "sys"
    for index, name in enumerate(["package-0-die-0", "package-0-die-1", "package-1-die-0", "package-1-die-1"]):
        powercap_zone(sysfs, f"intel-rapl:{index}", name, 5)
    powercap_zone(sysfs, "intel-rapl:1:0", "dram", 5)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert ("package-0-die-1", "package") in keys(found)
    assert ("package-0-die-1", "dram") in keys(found)
    assert all(channel.device.kind is Kind.CPU for channel in found.probes[0].channels)


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "HygonGenuine"])
def test_the_core_zone_of_amd_is_ignored(tmp_path, vendor):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 1, range_uj=65532610987)
    powercap_zone(sysfs, "intel-rapl:0:0", "core", 1, range_uj=65532610987)
    assert keys(rapl.discover(roots(sysfs, tmp_path, f"vendor_id\t: {vendor}\n"))) == {("package-0", "package")}


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


def test_the_twin_replaces_a_zone_that_does_not_work(tmp_path):
    sysfs = tmp_path / "sys"
    powercap_zone(sysfs, "intel-rapl:0", "package-0", "N/A")
    powercap_zone(sysfs, "intel-rapl-mmio:0", "package-0", 7_000_000)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert found.probes[0].read(0) == [7.0]
    assert found.problems == ()


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("intel_multi_die", {(f"package-{p}-die-{d}", k) for p in (0, 1) for d in (0, 1) for k in ("package", "dram")}),
        ("intel_client", {("psys", "psys"), *(("package-0", part) for part in ("package", "core", "uncore"))}),
    ],
)
def test_a_machine_has_each_zone_once(tmp_path, machine, expected):
    found = rapl.discover(roots(copy_tree(machine, tmp_path / "tree"), tmp_path))
    assert keys(found) == expected
    assert found.problems == ()


def test_without_powercap_the_family_is_unavailable_and_the_reason_names_the_folder(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="class/powercap"):
        rapl.discover(roots(tmp_path / "sys", tmp_path))


def test_a_zone_that_only_root_may_read_is_a_problem_with_its_remedy_and_the_others_work(tmp_path):
    user = nobody()
    sysfs = tmp_path / "sys"
    secret = powercap_zone(sysfs, "intel-rapl:0", "package-0", 1_000_000)
    powercap_zone(sysfs, "intel-rapl:1", "package-1", 2_000_000)
    (secret / "energy_uj").chmod(0o400)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != folder.parent and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    script = (
        "import json,sys; from probes import rapl; from probes.model import Roots;"
        "f = rapl.discover(Roots(sysfs=sys.argv[1], procfs='/nowhere'));"
        "print(json.dumps([[c.device.id for p in f.probes for c in p.channels],"
        " [[p.sensor, p.reason, p.remedy] for p in f.problems]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(sysfs)], check=True, capture_output=True, text=True, **user
    )
    devices, ((subject, reason, remedy),) = json.loads(done.stdout)
    assert devices == ["package-1"]
    assert "package-0" in subject
    assert "root" in reason
    assert "chmod 440" in remedy


def test_a_zone_that_hangs_at_discovery_is_a_problem_and_the_others_are_found(tmp_path):
    sysfs = copy_tree("intel_server_2s", tmp_path / "tree")
    path = (sysfs / "class/powercap/intel-rapl:1/energy_uj").resolve()
    path.unlink()
    os.mkfifo(path)
    found = rapl.discover(roots(sysfs, tmp_path))
    assert ("package-0", "package") in keys(found)
    assert ("package-1", "package") not in keys(found)
    (problem,) = found.problems
    assert "no answer within 0.5 s" in problem.reason
    found.probes[0].close()
    os.close(os.open(path, os.O_WRONLY))
