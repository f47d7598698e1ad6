import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.cpu.probe import discover
from probes.cpu.throttle import COOLING, INTEL, cooled_milliseconds, parse_states
from probes.errors import ReadError
from probes.model import Reason, Rejection, Roots
from probes.settings import SensorSettings
from trees import write

SECOND = 10**9


def intel(tmp_path, cores=4, packages=2):
    """Return the roots of a host whose cores have two threads each, n and n + `cores`, and throttled at no time."""
    lines = ["cpu 1 1 1 1"]
    for cpu in range(2 * cores):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}"
        write(folder / "topology/physical_package_id", cpu % cores * packages // cores)
        write(folder / "topology/core_cpus_list", f"{cpu % cores},{cpu % cores + cores}")
        for part in ("core", "package"):
            write(folder / f"thermal_throttle/{part}_throttle_total_time_ms", 0)
        lines.append(f"cpu{cpu} 1 1 1 1")
    write(tmp_path / "proc/stat", "\n".join(lines))
    return Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))


def throttle(tmp_path, cpu, part, milliseconds):
    folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
    return write(folder / f"{part}_throttle_total_time_ms", milliseconds)


def arm(tmp_path, states, cpus=(0, 1)):
    """Return the roots of a host with one policy for each processor; each is a cooling device."""
    for number, cpu in enumerate(cpus):
        folder = tmp_path / f"sys/class/thermal/cooling_device{number}"
        write(folder / "type", f"cpufreq-cpu{cpu}")
        write(folder / "stats/time_in_state_ms", states)
        write(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", 0)
    write(tmp_path / "proc/stat", "cpu 1 1 1 1\n" + "".join(f"cpu{cpu} 1 1 1 1\n" for cpu in cpus))
    return Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))


def probe_of(roots, **settings):
    found = discover(roots, SensorSettings(**settings))
    for probe in found.probes:
        if probe.name == "cpu":
            probe.close()
    return next((probe for probe in found.probes if probe.name == "cpu/throttle"), None)


def seconds(probe, at_ns):
    read = zip(probe.channels, probe.read(at_ns), strict=True)
    return {channel.path: value for channel, value in read}


def test_throttled_time_is_counted_once_for_each_package_and_as_a_mean_of_its_cores(tmp_path):
    probe = probe_of(intel(tmp_path))
    assert seconds(probe, SECOND) == dict.fromkeys(
        ("package-0/core", "package-0/package", "package-1/core", "package-1/package"), 0.0
    )
    throttle(tmp_path, 0, "core", 500)
    throttle(tmp_path, 4, "core", 500)  # the second thread of the same core
    for cpu in (0, 1, 4, 5):
        throttle(tmp_path, cpu, "package", 800)
    read = seconds(probe, 3 * SECOND)
    assert read == {"package-0/core": 0.25, "package-0/package": 0.8, "package-1/core": 0.0, "package-1/package": 0.0}
    assert {channel.method for channel in probe.channels} == {INTEL}
    assert not probe.rejections
    probe.close()


def test_of_different_copies_of_the_package_time_the_largest_counts(tmp_path):
    probe = probe_of(intel(tmp_path))
    throttle(tmp_path, 0, "package", 300)
    throttle(tmp_path, 1, "package", 310)
    assert seconds(probe, 2 * SECOND)["package-0/package"] == 0.31
    probe.close()


def test_a_core_that_goes_offline_adds_nothing_and_counts_again_when_it_is_back(tmp_path):
    probe = probe_of(intel(tmp_path, packages=1))
    file = throttle(tmp_path, 0, "core", 400)
    assert seconds(probe, SECOND)["package-0/core"] == 0.1
    write(file, "")
    assert seconds(probe, 2 * SECOND)["package-0/core"] == 0.1
    file.unlink()
    assert seconds(probe, 3 * SECOND)["package-0/core"] == 0.1
    throttle(tmp_path, 0, "core", 800)
    assert seconds(probe, 4 * SECOND)["package-0/core"] == 0.2
    assert not probe.rejections
    probe.close()


def test_more_throttled_time_than_time_is_impossible(tmp_path):
    probe = probe_of(intel(tmp_path, cores=1, packages=1))
    probe.read(SECOND)
    throttle(tmp_path, 0, "core", 60_000)
    assert math.isnan(seconds(probe, 2 * SECOND)["package-0/core"])
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]
    probe.close()


def test_a_host_that_shows_none_of_its_times_any_more_is_a_failed_read(tmp_path):
    roots = intel(tmp_path, cores=1, packages=1)
    probe = probe_of(roots)
    for part in ("core", "package"):
        for cpu in (0, 1):
            throttle(tmp_path, cpu, part, "")
    with pytest.raises(ReadError, match="2 parts"):
        probe.read(SECOND)
    probe.close()


def test_the_time_of_cooling_devices_above_state_0_is_throttled_time(tmp_path):
    probe = probe_of(arm(tmp_path, "state0\t5000\nstate1\t100\nstate2\t20\n"))
    assert seconds(probe, SECOND) == {"package-0/core": 0.12}
    assert probe.channels[0].method == COOLING
    states = tmp_path / "sys/class/thermal/cooling_device0/stats/time_in_state_ms"
    write(states, "state0\t5000\nstate1\t500\nstate2\t20")
    assert seconds(probe, 2 * SECOND) == {"package-0/core": 0.32}
    probe.close()


def test_other_cooling_devices_and_those_without_statistics_count_nothing(tmp_path):
    roots = arm(tmp_path, "state0\t5000\n", cpus=(0,))
    write(tmp_path / "sys/class/thermal/cooling_device0/type", "Processor")
    assert probe_of(roots) is None
    write(tmp_path / "sys/class/thermal/cooling_device0/type", "cpufreq-cpu0")
    write(tmp_path / "sys/class/thermal/cooling_device0/stats/time_in_state_ms", "")
    assert probe_of(roots) is None


def test_a_host_that_counts_no_throttled_time_has_no_such_probe(tmp_path):
    write(tmp_path / "stat", "cpu 1 1 1 1\ncpu0 1 1 1 1\n")
    assert probe_of(Roots(sysfs=str(tmp_path), procfs=str(tmp_path))) is None


def test_an_excluded_part_is_left_out(tmp_path):
    probe = probe_of(intel(tmp_path), exclude=("package-0/core", "package-1"))
    assert [channel.path for channel in probe.channels] == ["package-0/package"]
    probe.close()
    probe.close()


@given(st.dictionaries(st.integers(0, 99), st.integers(0, 2**40), min_size=1, max_size=20))
def test_the_throttled_milliseconds_are_those_of_all_states_but_0(states):
    text = "".join(f"state{state}\t{milliseconds}\n" for state, milliseconds in states.items())
    assert parse_states(text) == states
    assert cooled_milliseconds(text) == sum(milliseconds for state, milliseconds in states.items() if state)
