"""The clock of the uncore: dies, clusters, permission, faults."""

import errno
import math

from probes.cpu.probe import discover as discover_cpu
from probes.cpu.uncore import MOST_CLOCKS, discover_uncore
from probes.model import Roots
from probes.settings import ALL_SENSORS, SensorSettings
from trees import write

FOLDER = "devices/system/cpu/intel_uncore_frequency"


def die(sysfs, package, number, khz):
    return write(sysfs / FOLDER / f"package_{package:02}_die_{number:02}/current_freq_khz", khz)


def cluster(sysfs, number, package, domain, khz, cluster_id=0):
    folder = sysfs / FOLDER / f"uncore{number:02}"
    for name, value in {"package_id": package, "domain_id": domain, "fabric_cluster_id": cluster_id}.items():
        write(folder / name, value)
    return write(folder / "current_freq_khz", khz)


def clocks(found):
    (probe,) = found.probes
    read = dict(zip([channel.path for channel in probe.channels], probe.read(0), strict=True))
    probe.close()
    return read


def test_each_package_has_the_clock_of_its_uncore_in_hertz(tmp_path):
    for package, khz in ((0, 2_400_000), (1, 800_000)):
        die(tmp_path, package, 0, khz)
    assert clocks(discover_uncore(tmp_path, ALL_SENSORS)) == {"package-0/uncore": 2.4e9, "package-1/uncore": 8e8}


def test_each_die_of_a_package_has_a_clock(tmp_path):
    for number in (0, 1):
        die(tmp_path, 0, number, 1_000_000 * (number + 1))
    found = clocks(discover_uncore(tmp_path, ALL_SENSORS))
    assert found == {"package-0/uncore-die-0": 1e9, "package-0/uncore-die-1": 2e9}


def test_clusters_replace_the_dies_that_stand_for_them(tmp_path):
    die(tmp_path, 0, 0, 1)
    cluster(tmp_path, 0, 0, 0, 2_000_000)
    cluster(tmp_path, 1, 0, 4, 1_000_000, cluster_id=1)
    found = clocks(discover_uncore(tmp_path, ALL_SENSORS))
    assert found == {"package-0/uncore-0-0": 2e9, "package-0/uncore-4-1": 1e9}


def test_an_implausible_clock_is_rejected(tmp_path):
    path = die(tmp_path, 0, 0, 2_000_000)
    (probe,) = discover_uncore(tmp_path, ALL_SENSORS).probes
    write(path, 4294967295)
    assert math.isnan(probe.read(0)[0])
    assert len(probe.rejections) == 1
    probe.close()


def test_an_excluded_clock_is_not_read(tmp_path):
    die(tmp_path, 0, 0, "garbage")
    found = discover_uncore(tmp_path, SensorSettings(exclude=("package-0/uncore",)))
    assert (found.probes, found.problems, found.excluded) == ((), (), {"package-0/uncore"})


def test_a_clock_that_shows_no_number_is_a_problem(tmp_path):
    die(tmp_path, 0, 0, "garbage")
    (problem,) = discover_uncore(tmp_path, ALL_SENSORS).problems
    assert "package_00_die_00" in problem.sensor


def test_clocks_that_only_root_may_read_are_one_problem_with_its_remedy(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for package in (0, 1):
        die(tmp_path, package, 0, 1_000_000)
    monkeypatch.setattr("probes.cpu.uncore.open_value_file", refuse)
    found = discover_uncore(tmp_path, ALL_SENSORS)
    assert found.probes == ()
    (problem,) = found.problems
    assert f"sudo chgrp inferometer {tmp_path / FOLDER}/*/current_freq_khz" in problem.remedy


def test_the_number_of_clocks_is_limited(tmp_path):
    for number in range(MOST_CLOCKS + 3):
        cluster(tmp_path, number, 0, number, 1_000_000)
    assert len(clocks(discover_uncore(tmp_path, ALL_SENSORS))) == MOST_CLOCKS


def test_the_family_of_the_processors_reads_them_beside_the_utilization(tmp_path):
    die(tmp_path / "sys", 0, 0, 2_000_000)
    write(tmp_path / "proc/stat", "cpu0 1 0 0 1 0 0 0 0 0 0")
    found = discover_cpu(Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc")))
    assert [probe.name for probe in found.probes] == ["cpu", "cpu/uncore"]
    for probe in found.probes:
        probe.close()
