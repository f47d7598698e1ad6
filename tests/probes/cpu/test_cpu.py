import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.cpu.probe import discover, parse_clocks
from probes.cpu.utilization import MOST_SAMPLED_CORES, Package, Times, Utilization, busy_share, packages_of, parse_times
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Reason, Rejection, Roots
from trees import FIXTURES, write

PROC = FIXTURES / "proc"
TICKS = st.integers(min_value=0, max_value=2**64)
TIMES = st.builds(Times, TICKS, TICKS, TICKS, TICKS)
READINGS = st.dictionaries(st.integers(0, 5), TIMES, max_size=6)


def stat_of(*cpus: tuple[int, int, int]) -> str:
    """The text of /proc/stat for (number, busy, idle) of each processor."""
    lines = [f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number, busy, idle in cpus]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *lines, "intr 5 1 2", "ctxt 3"])


def add_cpu(sysfs: Path, number: int, package: int, siblings: str, khz: object = None) -> None:
    folder = sysfs / f"devices/system/cpu/cpu{number}"
    write(folder / "topology/physical_package_id", package)
    write(folder / "topology/core_cpus_list", siblings)
    if khz is not None:
        write(folder / "cpufreq/scaling_cur_freq", khz)


def two_packages(tmp_path: Path) -> Roots:
    """Two packages of two cores of two threads each: the threads of a core are n and n + 4."""
    for number in range(8):
        core = number % 4
        add_cpu(tmp_path / "sys", number, core // 2, f"{core},{core + 4}", 2_000_000 + 1_000_000 * (core // 2))
    write(tmp_path / "proc/stat", (PROC / "epyc_two_packages/stat").read_text())
    write(tmp_path / "proc/cpuinfo", (PROC / "epyc_two_packages/cpuinfo").read_text())
    return Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))


def test_busy_is_all_but_idle_iowait_and_stolen_time():
    text = b"cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 8 16 32 64 128 0 0\nintr 7\n"
    assert parse_times(text) == {0: Times(busy=1 + 2 + 4 + 32 + 64, idle=8, iowait=16, stolen=128)}


def test_guest_time_is_part_of_user_time_and_counts_once():
    assert parse_times(b"cpu3 100 0 0 50 0 0 0 0 90 5\n") == {3: Times(100, 50, 0, 0)}


def test_an_old_kernel_reports_only_four_times():
    assert parse_times(b"cpu0 1 2 3 4\n") == {0: Times(6, 4, 0, 0)}


def test_processor_numbers_may_have_gaps():
    assert list(parse_times(b"cpu 1 1 1 1\ncpu0 1 1 1 1\ncpu2 1 1 1 1\nbtime 4\n")) == [0, 2]


@pytest.mark.parametrize("text", [b"cpu0 1 2 3\n", b"cpu0 a b c d\n", b"cpux 1 2 3 4\n"])
def test_a_line_without_times_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_times(text)


def test_the_share_is_busy_time_over_total_time_of_the_given_processors():
    before = {0: Times(0, 0, 0, 0), 1: Times(10, 10, 10, 10), 2: Times(0, 0, 0, 0)}
    after = {0: Times(30, 10, 0, 0), 1: Times(10, 30, 30, 20), 2: Times(500, 0, 0, 0)}
    assert busy_share(before, after, [0, 1]) == 30 / 90


def test_iowait_that_steps_back_counts_as_zero():
    assert busy_share({0: Times(0, 0, 50, 0)}, {0: Times(10, 10, 20, 0)}, [0]) == 0.5


def test_two_readings_at_one_time_have_no_share():
    assert math.isnan(busy_share({0: Times(1, 2, 3, 4)}, {0: Times(1, 2, 3, 4)}, [0]))


def test_a_processor_in_only_one_reading_is_left_out():
    before, after = {0: Times(0, 0, 0, 0)}, {0: Times(10, 30, 0, 0), 1: Times(9999, 0, 0, 0)}
    assert busy_share(before, after, [0, 1]) == 0.25


@given(before=READINGS, after=READINGS, cpus=st.sets(st.integers(0, 5)))
def test_a_share_is_always_between_zero_and_one(before, after, cpus):
    share = busy_share(before, after, cpus)
    assert math.isnan(share) or 0.0 <= share <= 1.0


def test_processors_are_grouped_by_package_and_core(tmp_path):
    roots = two_packages(tmp_path)
    assert packages_of(Path(roots.sysfs), range(8)) == (
        Package(0, (0, 1, 4, 5), (0, 1)),
        Package(1, (2, 3, 6, 7), (2, 3)),
    )


def test_an_older_kernel_lists_the_threads_of_a_core_in_another_file(tmp_path):
    for number in range(2):
        write(tmp_path / f"devices/system/cpu/cpu{number}/topology/thread_siblings_list", "0-1")
    assert packages_of(tmp_path, [0, 1]) == (Package(0, (0, 1), (0,)),)


def test_without_topology_every_processor_is_a_core_of_package_zero(tmp_path):
    assert packages_of(tmp_path, [1, 0]) == (Package(0, (0, 1), (0, 1)),)


def test_an_unknown_package_number_is_zero(tmp_path):
    add_cpu(tmp_path, 0, -1, "0")
    assert packages_of(tmp_path, [0]) == (Package(0, (0,), (0,)),)


def test_parsed_clocks_are_in_hertz():
    assert parse_clocks((PROC / "xeon_guest/cpuinfo").read_text()) == {0: 2.3e9, 1: 2.5005e9}


def test_discovery_finds_the_host_and_every_package_with_its_cores_and_threads(tmp_path):
    (probe,) = discover(two_packages(tmp_path)).probes
    assert [(c.device.id, c.domain, c.metric) for c in probe.channels] == [
        ("host", "host", "utilization_ratio"),
        ("package-0", "package", "utilization_ratio"),
        ("package-0", "package", "frequency_hertz"),
        ("package-0", "package", "cores"),
        ("package-1", "package", "utilization_ratio"),
        ("package-1", "package", "frequency_hertz"),
        ("package-1", "package", "cores"),
    ]
    assert [probe.channels[n].device.kind for n in (0, 1)] == [Kind.HOST, Kind.CPU]
    assert probe.channels[1].device.name == "AMD EPYC 9654 96-Core Processor"
    assert probe.channels[1].device.attributes == (("cores", "2"), ("threads", "4"))
    probe.close()


def test_utilization_covers_the_time_since_the_previous_read(tmp_path):
    (probe,) = discover(two_packages(tmp_path)).probes
    first = probe.read(1)
    assert all(math.isnan(first[n]) for n in (0, 1, 4))
    assert [first[n] for n in (2, 3, 5, 6)] == [2e9, 2.0, 3e9, 2.0]
    write(tmp_path / "proc/stat", stat_of(*[(n, 180, 920) if n in (0, 1, 4, 5) else (n, 120, 980) for n in range(8)]))
    assert probe.read(2) == [0.5, 0.8, 2e9, 2.0, 0.2, 3e9, 2.0]
    assert probe.rejections == []
    probe.close()


def test_processors_that_go_offline_do_not_affect_the_others(tmp_path):
    (probe,) = discover(two_packages(tmp_path)).probes
    probe.read(1)
    write(tmp_path / "proc/stat", stat_of(*[(n, 130, 970) for n in (0, 1, 3, 4, 5, 7)]))
    assert probe.read(2) == [0.3, 0.3, 2e9, 2.0, 0.3, 3e9, 1.0]
    write(tmp_path / "proc/stat", stat_of(*[(n, 140, 980) for n in (0, 1, 4, 5)]))
    values = probe.read(3)
    assert values[:4] == [0.5, 0.5, 2e9, 2.0]
    assert math.isnan(values[4])
    assert math.isnan(values[5])
    assert values[6] == 0.0
    assert probe.rejections == [Rejection(5, Reason.READ_ERROR)]
    probe.close()


def test_processors_that_come_online_are_counted_from_the_read_after(tmp_path):
    roots = two_packages(tmp_path)
    write(tmp_path / "proc/stat", stat_of((0, 0, 0), (4, 0, 0)))
    (probe,) = discover(roots).probes
    probe.read(1)
    write(tmp_path / "proc/stat", stat_of((0, 10, 10), (1, 5000, 0), (4, 10, 10)))
    assert probe.read(2) == [0.5, 0.5, 2e9, 2.0]
    write(tmp_path / "proc/stat", stat_of((0, 10, 20), (1, 5010, 0), (4, 10, 20)))
    assert probe.read(3)[1] == 10 / 30
    probe.close()


def test_only_a_few_cores_of_a_package_are_read_for_their_clock(tmp_path):
    for number in range(10):
        add_cpu(tmp_path / "sys", number, 0, str(number), 1_000_000)
    write(tmp_path / "proc/stat", stat_of(*[(n, 0, 0) for n in range(10)]))
    (probe,) = discover(Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))).probes
    moved = []
    for number in range(10):
        add_cpu(tmp_path / "sys", number, 0, str(number), 9_000_000)
        moved.append(probe.read(number)[2])
        add_cpu(tmp_path / "sys", number, 0, str(number), 1_000_000)
    assert sum(clock != 1e9 for clock in moved) == MOST_SAMPLED_CORES
    assert max(moved) == pytest.approx((9e9 + 3 * 1e9) / 4)
    probe.close()


def test_a_core_without_a_clock_is_left_out_of_the_mean(tmp_path):
    roots = two_packages(tmp_path)
    (probe,) = discover(roots).probes
    write(tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "<unknown>")
    write(tmp_path / "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", 2_500_000)
    assert probe.read(1)[2] == 2.5e9
    assert probe.rejections == []
    probe.close()


def test_without_cpufreq_the_clock_comes_from_cpuinfo():
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(PROC / "xeon_guest"))).probes
    (clock,) = (channel for channel in probe.channels if channel.metric == "frequency_hertz")
    assert clock.method == "cpuinfo"
    assert probe.read(1)[2] == pytest.approx((2.3e9 + 2.5005e9) / 2)
    probe.close()


def test_a_truncated_cpuinfo_gives_the_clocks_of_its_beginning(tmp_path):
    blocks = [f"processor : {n}\ncpu MHz : {1000 + n}.000\nflags : {'x' * 3000}\n" for n in range(8)]
    write(tmp_path / "cpuinfo", "\n".join(blocks))
    write(tmp_path / "stat", stat_of(*[(n, 0, 0) for n in range(8)]))
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(tmp_path))).probes
    assert probe.read(1)[2] == pytest.approx((1000e6 + 1002e6) / 2)
    probe.close()


def test_a_processor_that_states_no_clock_has_no_frequency_channel(tmp_path):
    write(tmp_path / "cpuinfo", (PROC / "altra/cpuinfo").read_text())
    write(tmp_path / "stat", stat_of((0, 0, 0), (1, 0, 0)))
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(tmp_path))).probes
    assert [channel.metric for channel in probe.channels] == ["utilization_ratio", "utilization_ratio", "cores"]
    assert probe.channels[1].device.name == "Neoverse N1"
    assert probe.read(1)[2] == 2.0
    probe.close()


def test_a_stat_longer_than_the_buffer_is_read_completely(tmp_path):
    before = stat_of(*[(n, 0, 0) for n in range(3000)])
    assert len(before) > 1 << 16
    write(tmp_path / "stat", before)
    utilization = Utilization(Roots(sysfs="/nonexistent", procfs=str(tmp_path)))
    assert len(utilization.packages[0].cpus) == 3000
    utilization.close()


def test_a_stat_without_processors_is_a_read_error_and_the_next_read_may_work(tmp_path):
    write(tmp_path / "stat", stat_of((0, 0, 0)))
    (probe,) = discover(Roots(sysfs="/nonexistent", procfs=str(tmp_path))).probes
    probe.read(1)
    write(tmp_path / "stat", "intr 1")
    with pytest.raises(ReadError, match="lists no processor"):
        probe.read(2)
    write(tmp_path / "stat", stat_of((0, 10, 30)))
    assert probe.read(3)[0] == 0.25
    probe.close()


@pytest.mark.parametrize("text", [None, "intr 1", "cpu0 one two"])
def test_discovery_without_a_readable_stat_raises_unavailable(tmp_path, text):
    if text is not None:
        write(tmp_path / "stat", text)
    with pytest.raises(ProbeUnavailableError) as caught:
        discover(Roots(procfs=str(tmp_path)))
    assert str(tmp_path) in caught.value.reason
    assert caught.value.remedy


def test_this_host_reports_its_utilization():
    (probe,) = discover(Roots()).probes
    probe.read(1)
    for _ in range(2_000_000):
        pass
    values = probe.read(2)
    assert len(values) == len(probe.channels)
    assert 0.0 <= values[0] <= 1.0
    assert values[-1] >= 1.0
    probe.close()
    probe.close()
