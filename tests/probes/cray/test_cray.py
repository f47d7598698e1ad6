"""The counters of a Cray node: parts, time stamps, scans, restarts, faults."""

import errno
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_files import FAILED, GONE
from probes import cray
from probes.cray import Line, ScanClock, parse_line
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots, TimedProbe
from probes.settings import SensorSettings
from trees import copy_tree, write

SECOND = 1_000_000_000
PERIOD = SECOND // 10
STAMP_US = 1734094386462336


def discover(sysfs, **settings):
    return cray.discover(Roots(sysfs=str(sysfs)), SensorSettings(**settings))


class Node:
    """A copy of a node's counters, and a probe of it; `scan` writes a new scan of some files."""

    def __init__(self, tmp_path, tree="cray_ex", **settings):
        self.sysfs = copy_tree(tree, tmp_path / "tree")
        self.folder = self.sysfs / "cray/pm_counters"
        self.freshness = 1
        (self.probe,) = discover(self.sysfs, **settings).probes
        self.paths = [(channel.domain, channel.metric) for channel in self.probe.channels]

    def scan(self, at_us, **numbers):
        for path in self.folder.iterdir():
            number, unit, *_ = (*path.read_text().split(), "")
            if unit:
                write(path, f"{numbers.get(path.name, number)} {unit} {at_us} us")
        self.freshness += 1
        write(self.folder / "freshness", self.freshness)

    def read(self, at_ns):
        return dict(zip(self.paths, self.probe.read(at_ns), strict=True))


@pytest.fixture
def node(tmp_path):
    made = Node(tmp_path)
    yield made
    made.probe.close()


def test_a_line_is_a_number_with_its_unit_and_time():
    assert parse_line(b"873 W 1734094386462336 us\n") == Line(873, "W", 1734094386462336000)


@pytest.mark.parametrize(
    "raw", [b"", b"873 W", b"873", b"-1 W 5 us", b"8 W 5 ms", b"8.5 W 5 us", b"8 X 5 us", b"8 W 5 us 6", b"\xff W"]
)
def test_another_text_is_no_line(raw):
    assert parse_line(raw) is None


def test_the_node_contains_its_parts(node):
    domains = {channel.domain: channel.contained_in for channel in node.probe.channels}
    whole = (("pm_counters", "node"),)
    accelerators = {f"accel-{number}": whole for number in range(4)}
    assert domains == {
        "node": (),
        "cpu": whole,
        "memory": whole,
        "cpu-0": (("pm_counters", "cpu"), *whole),
        **accelerators,
    }
    assert {channel.device.kind for channel in node.probe.channels} == {Kind.HOST}


def test_each_processor_of_a_grace_hopper_node_is_a_part_of_the_processors(tmp_path):
    made = Node(tmp_path, "cray_gh200")
    energetic = {
        channel.domain: channel.contained_in for channel in made.probe.channels if channel.metric == "energy_joules"
    }
    whole = ("pm_counters", "node")
    assert energetic["cpu-3"] == (("pm_counters", "cpu"), whole)
    assert energetic["accel-3"] == (whole,)
    assert len(energetic) == 10
    values = made.read(5 * SECOND)
    assert values["cpu-2", "temperature_celsius"] == 50.0
    assert values["node", "power_limit_watts"] == 2754.0
    made.probe.close()


def test_values_are_joules_and_watts_and_a_limit_of_zero_is_none(node):
    values = node.read(SECOND)
    assert values["node", "energy_joules"] == 1360621494.0
    assert values["node", "power_watts"] == 873.0
    assert values["accel-2", "energy_joules"] == 271696890.0
    assert math.isnan(values["node", "power_limit_watts"])
    assert node.probe.rejections == []


def test_counters_are_read_before_gauges_and_the_node_before_its_parts(node):
    assert node.paths[0] == ("node", "energy_joules")
    metrics = [metric for _, metric in node.paths]
    assert metrics == sorted(
        metrics, key=["energy_joules", "power_watts", "power_limit_watts", "temperature_celsius"].index
    )


def test_a_scan_that_was_read_before_is_nothing_new(node):
    assert isinstance(node.probe, TimedProbe)
    node.read(SECOND)
    assert node.probe.taken_ns == (SECOND - PERIOD, SECOND)
    assert all(map(math.isnan, node.read(SECOND + PERIOD).values()))
    assert node.probe.taken_ns is None
    node.scan(STAMP_US + 200_000, energy=1360621700)
    assert node.read(SECOND + 3 * PERIOD)["node", "energy_joules"] == 1360621700.0
    assert node.probe.rejections == []


@pytest.mark.parametrize("stands", ["freshness", "stamp"])
def test_a_controller_that_stands_still_gives_no_sample(node, stands):
    node.read(SECOND)
    if stands == "stamp":
        node.scan(STAMP_US, energy=1360621800)
    else:
        write(node.folder / "energy", f"1360621800 J {STAMP_US + 1000000} us")
    node.read(2 * SECOND)
    assert node.probe.taken_ns is None


def test_times_are_those_of_the_scans(node):
    node.scan(STAMP_US)
    node.read(SECOND)
    for tenths, late in ((10, 0.09), (20, 0.02), (30, 0.06)):
        node.scan(STAMP_US + tenths * 100_000)
        node.read(SECOND + tenths * PERIOD + round(late * SECOND))
        first, last = node.probe.taken_ns
        assert last - first == PERIOD
        assert abs(last - SECOND - tenths * PERIOD) < 0.001 * SECOND


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=30), st.integers(-(10**15), 10**15)
)
def test_the_time_of_a_scan_is_in_its_interval_unless_a_read_is_late(reads, difference_ns):
    clock, scan_ns = ScanClock(PERIOD), 10**16
    for scans, age in reads:
        scan_ns += scans * PERIOD
        first, last = clock.interval_ns(scan_ns - difference_ns, scan_ns + round(age * PERIOD))
        assert first - 1 <= scan_ns <= last + 1


def test_a_clock_that_drifts_is_followed():
    clock = ScanClock(PERIOD)
    for second in range(0, 20_000, 10):
        stamp_ns = second * SECOND
        at_ns = stamp_ns + stamp_ns // 20_000
        first, last = clock.interval_ns(stamp_ns, at_ns)
        assert first <= at_ns <= last + 1


def test_a_controller_whose_clock_is_set_gives_the_next_times_by_its_new_clock(node):
    node.read(SECOND)
    node.scan(STAMP_US - 3_600_000_000)
    node.read(2 * SECOND)
    assert node.probe.taken_ns == (2 * SECOND - PERIOD, 2 * SECOND)
    node.scan(STAMP_US + 3_600_000_000)
    node.read(3 * SECOND)
    assert node.probe.taken_ns is not None


def test_a_scan_that_seems_older_than_the_last_is_left_out(node):
    node.read(SECOND)
    node.scan(STAMP_US - 1_000)
    assert all(map(math.isnan, node.read(SECOND + 1).values()))
    assert node.probe.taken_ns is None


def test_counters_that_started_again_are_reset_even_if_they_are_higher(node):
    node.read(SECOND)
    write(node.folder / "startup", 1739999999999999)
    node.scan(STAMP_US + 1_000_000, energy=1360621900)
    assert math.isnan(node.read(2 * SECOND)["node", "energy_joules"])
    assert {rejection.reason for rejection in node.probe.rejections} == {Reason.RESET}
    node.probe.rejections.clear()
    node.scan(STAMP_US + 2_000_000, energy=1360622900)
    assert node.read(3 * SECOND)["node", "energy_joules"] == 1360621494.0 + 1000
    assert node.probe.rejections == []


def test_a_counter_without_a_reading_yet_starts_after_a_restart(tmp_path):
    made = Node(tmp_path, exclude=("pm_counters/cpu-0",))
    write(made.folder / "energy", "garbage")
    made.read(SECOND)
    write(made.folder / "energy", f"500 J {STAMP_US} us")
    write(made.folder / "startup", 1)
    made.scan(STAMP_US + 1_000_000)
    assert made.read(2 * SECOND)["node", "energy_joules"] == 500.0
    made.probe.close()


def test_a_file_in_another_unit_or_without_a_number_is_not_a_sample(node):
    at = node.paths.index(("node", "power_watts"))
    write(node.folder / "power", f"873 J {STAMP_US} us")
    assert math.isnan(node.read(SECOND)["node", "power_watts"])
    assert node.probe.rejections == [Rejection(at, Reason.READ_ERROR)]
    node.probe.rejections.clear()
    node.scan(STAMP_US + 1_000_000)
    write(node.folder / "power", f"99999 W {STAMP_US + 1_000_000} us")
    assert math.isnan(node.read(2 * SECOND)["node", "power_watts"])
    assert node.probe.rejections == [Rejection(at, Reason.IMPOSSIBLE)]


def test_files_without_any_number_are_rejected(node):
    for path in node.folder.iterdir():
        if path.name not in {"freshness", "startup"}:
            write(path, "garbage")
    assert all(map(math.isnan, node.read(SECOND).values()))
    assert len(node.probe.rejections) == len(node.paths)


def test_values_of_two_scans_are_never_mixed(node):
    numbers = iter(range(100))
    plain, fresh = node.probe._pread, node.probe._descriptors[-2]
    node.probe._pread = lambda fd, size, at: b"%d\n" % next(numbers) if fd == fresh else plain(fd, size, at)
    with pytest.raises(ReadError, match="new scan during each"):
        node.read(SECOND)


@pytest.mark.parametrize(("error", "raised"), [(FAILED, ReadError), (GONE, DeviceLostError)])
def test_if_no_file_can_be_read_the_read_fails(node, error, raised):
    plain, fresh = node.probe._pread, node.probe._descriptors[-2]

    def pread(fd, size, at):
        if fd == fresh:
            return plain(fd, size, at)
        raise error

    node.probe._pread = pread
    with pytest.raises(raised):
        node.read(SECOND)


def test_excluded_parts_are_not_read(tmp_path):
    made = Node(tmp_path, exclude=("pm_counters/node", "pm_counters/cpu"))
    assert not {"node", "cpu"} & {domain for domain, _ in made.paths}
    made.probe.close()
    found = discover(made.sysfs, exclude=("pm_counters",))
    assert (found.probes, found.problems, found.excluded) == ((), (), {"pm_counters"})


def test_counters_that_cannot_be_opened_are_a_problem_with_its_remedy(tmp_path):
    sysfs = copy_tree("cray_ex", tmp_path / "tree")
    (sysfs / "cray/pm_counters/startup").unlink()
    found = discover(sysfs)
    assert found.probes == ()
    (problem,) = found.problems
    assert problem.sensor.endswith("startup")
    assert problem.reason == OSError(errno.ENOENT, "No such file or directory").strerror


@pytest.mark.parametrize("stated", ["0", "100000", "garbage"])
def test_an_implausible_scan_rate_is_ten_a_second(tmp_path, stated):
    sysfs = copy_tree("cray_ex", tmp_path / "tree")
    write(sysfs / "cray/pm_counters/raw_scan_hz", stated)
    (probe,) = discover(sysfs).probes
    probe.read(SECOND)
    assert probe.taken_ns == (SECOND - PERIOD, SECOND)
    probe.close()


def test_another_host_has_no_such_counters(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="pm_counters"):
        discover(tmp_path)
