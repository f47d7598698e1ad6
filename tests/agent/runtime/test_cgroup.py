"""Quotas, CPU sets and memory limits of control groups of both versions, nested and inside a container."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.host.activity import ActivityMonitor, cpu_usage_between
from agent.host.checks import Verdict, cpu_limit
from agent.host.settings import read_host_settings
from agent.runtime.cgroup import Limits, parse_throttled, read_limits, throttled_seconds
from probes.model import Roots
from trees import write

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 30 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:30 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
HYBRID = V1 + "33 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def host(tmp_path: Path, mounts: str, groups: str, files: dict[str, object], root: str = "/") -> Roots:
    """Return the roots of a host with these mounts, this process in these groups, and these files below cgroup."""
    write(tmp_path / "proc/self/mountinfo", mounts.format(root=root).strip())
    write(tmp_path / "proc/self/cgroup", groups)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in files.items():
        write(tmp_path / "sys/fs/cgroup" / name, text)
    return Roots(sysfs=str(tmp_path / "sys"), procfs=str(tmp_path / "proc"))


def test_the_tightest_of_nested_limits_of_version_2_counts(tmp_path: Path) -> None:
    files: dict[str, object] = {
        "a/cpu.max": "150000 100000",
        "a/memory.max": 4_000_000_000,
        "a/b/cpu.max": "max 100000",
        "a/b/memory.max": "max",
        "a/b/c/cpu.max": "200000 100000",
        "a/b/c/memory.max": 8_000_000_000,
    }
    limits = read_limits(host(tmp_path, V2, "0::/a/b/c", files))
    assert (limits.quota_cpus, limits.memory_bytes) == (1.5, 4_000_000_000)
    assert [path.parent.name for path in limits.stat_files] == ["c", "a"]


@pytest.mark.parametrize("mounts", [V1, HYBRID])
def test_version_1_has_a_hierarchy_for_each_controller(tmp_path: Path, mounts: str) -> None:
    files: dict[str, object] = {
        "cpu,cpuacct/docker/x/cpu.cfs_quota_us": 30000,
        "cpu,cpuacct/docker/x/cpu.cfs_period_us": 100000,
        "cpu,cpuacct/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
        "memory/docker/x/memory.limit_in_bytes": 512 << 20,
        "memory/memory.limit_in_bytes": 9223372036854771712,
    }
    groups = "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/elsewhere"
    limits = read_limits(host(tmp_path, mounts, groups, files))
    assert (limits.quota_cpus, limits.memory_bytes) == (0.3, 512 << 20)


@pytest.mark.parametrize(
    ("root", "group"),
    [
        ("/", "/"),  # a namespace of its own
        ("/docker/x", "/docker/x"),  # none: the mount shows only the container's group
        ("/docker/x", "/"),
        ("/", "/../other"),  # a process that was moved out of the namespace's root
    ],
)
def test_inside_a_container_the_mount_point_is_its_own_group(tmp_path: Path, root: str, group: str) -> None:
    files: dict[str, object] = {"cpu.max": "50000 100000", "memory.max": 1_000_000}
    limits = read_limits(host(tmp_path, V2, f"0::{group}", files, root))
    assert (limits.quota_cpus, limits.memory_bytes) == (0.5, 1_000_000)


@pytest.mark.parametrize(
    ("mounts", "groups", "files"),
    [
        ("", "", {}),
        ("garbage", "garbage\n::\n0::relative", {}),
        (V2, "0::/a", {}),
        (V2, "0::/a", {"a/cpu.max": "max 100000", "a/memory.max": "max"}),
        (V2, "0::/a", {"a/cpu.max": "", "a/memory.max": "-5"}),
        (V2, "0::/a", {"a/cpu.max": "1 0", "a/memory.max": "0"}),
        (V2, "0::/a", {"a/cpu.max": "x y z", "a/memory.max": "many"}),
        (V1, "3:cpu:/", {"cpu,cpuacct/cpu.cfs_quota_us": -1, "cpu,cpuacct/cpu.cfs_period_us": 100000}),
        (V1, "3:cpu:/", {"cpu,cpuacct/cpu.cfs_quota_us": 10}),
    ],
)
def test_a_missing_or_unreadable_limit_is_none(
    tmp_path: Path, mounts: str, groups: str, files: dict[str, object]
) -> None:
    limits = read_limits(host(tmp_path, mounts, groups, files))
    assert (limits.quota_cpus, limits.memory_bytes, limits.stat_files) == (None, None, ())
    assert limits.usable_cpus == len(os.sched_getaffinity(0))
    assert throttled_seconds(limits) is None


def test_a_mount_point_with_a_blank_is_unescaped(tmp_path: Path) -> None:
    mounts = r"30 23 0:26 / /sys/fs/c\040group rw - cgroup2 cgroup2 rw"
    write(tmp_path / "sys/fs/c group/cpu.max", "50000 100000")
    assert read_limits(host(tmp_path, mounts, "0::/", {})).quota_cpus == 0.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("nr_periods 9\nnr_throttled 2\nthrottled_usec 1500000\n", 1.5),
        ("nr_periods 9\nnr_throttled 2\nthrottled_time 1500000000\n", 1.5),
        ("usage_usec 5\n", None),
        ("throttled_usec many\n", None),
        ("", None),
    ],
)
def test_throttled_time_is_in_microseconds_in_version_2_and_in_nanoseconds_in_version_1(
    text: str, seconds: float | None
) -> None:
    assert parse_throttled(text) == seconds


@pytest.mark.parametrize(
    ("quota", "usable", "threads"), [(None, 8, 8), (0.3, 8, 1), (1.5, 8, 2), (16.0, 4, 4), (2.0, 1, 1)]
)
def test_engine_threads_do_not_exceed_the_quota_and_the_cpu_set(quota: float | None, usable: int, threads: int) -> None:
    assert Limits(quota, usable, None).engine_threads == threads


def test_doctor_warns_of_a_quota_and_names_a_memory_limit() -> None:
    warned = cpu_limit(Limits(0.3, 4, 2_000_000_000))
    assert (warned.verdict, warned.remedy != "") == (Verdict.WARN, True)
    assert warned.found.startswith("limited to 0.3 of 4 CPUs by a cgroup quota")
    assert "2 GB" in warned.found
    assert cpu_limit(Limits(None, 1, None)) == cpu_limit(Limits(4.0, 1, None))
    assert cpu_limit(Limits(None, 1, None)).found == "this process may use 1 CPU, no quota"


def test_the_settings_of_a_run_hold_its_limits(tmp_path: Path) -> None:
    settings = read_host_settings(host(tmp_path, V2, "0::/", {"cpu.max": "50000 100000", "memory.max": 7_000_000}))
    assert (settings.cpu_quota_cpus, settings.memory_limit_bytes) == (0.5, 7_000_000)
    assert settings.usable_cpus == len(os.sched_getaffinity(0))


def test_the_load_of_a_window_includes_its_throttled_time(tmp_path: Path) -> None:
    roots = host(tmp_path, V2, "0::/a", {"a/cpu.max": "30000 100000", "a/cpu.stat": "throttled_usec 1000000"})
    pid = os.getpid()
    write(tmp_path / f"proc/{pid}/task/{pid}/children", "")
    stat = "cpu0 {0} 0 0 {0} 0 0 0 0 0 0"
    write(tmp_path / "proc/stat", stat.format(100))
    activity_monitor = ActivityMonitor(roots)
    before = activity_monitor.snapshot()
    write(tmp_path / "proc/stat", stat.format(200))
    write(tmp_path / "sys/fs/cgroup/a/cpu.stat", "throttled_usec 1750000")
    load = cpu_usage_between(before, activity_monitor.snapshot(before))
    assert load is not None
    assert load.quota_stopped == pytest.approx(0.75)


@contextlib.contextmanager
def quota(share: float) -> Iterator[Path]:
    """Create a real group whose processes get this share of a CPU; skip the test without permission."""
    name = f"inferometer-test-{os.getpid()}"
    for folder in (Path("/sys/fs/cgroup/cpu", name), Path("/sys/fs/cgroup", name)):
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_quota_us").write_text(str(round(share * 100_000)))
            else:
                (folder / "cpu.max").write_text(f"{round(share * 100_000)} 100000")
            yield folder
        except OSError as error:
            pytest.skip(f"no quota can be set: {error}")
        finally:
            folder.rmdir()
        return
    pytest.skip("no control group can be created")


_INSIDE = """
import json, sys, time
from agent.runtime.cgroup import read_limits, throttled_seconds
from probes.model import Roots
sys.stdin.readline()
limits = read_limits(Roots())
before = throttled_seconds(limits)
ends = time.monotonic() + 60
while throttled_seconds(limits) - before < 0.1 and time.monotonic() < ends:
    sum(range(10000))
print(json.dumps([limits.quota_cpus, throttled_seconds(limits) - before]))
"""


def test_a_real_quota_is_read_and_its_throttling_is_counted() -> None:
    with quota(0.05) as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", _INSIDE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            (folder / "cgroup.procs").write_text(str(process.pid))
            output, _ = process.communicate("go\n", timeout=120)
        finally:
            process.kill()
            process.wait()
    found, stopped = json.loads(output)
    assert found == pytest.approx(0.05)
    assert stopped >= 0.1
