"""Use of the processors between two snapshots: on literal files of /proc, and on this host."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent.host.activity import ActivityMonitor, ActivitySnapshot, cpu_usage_between
from probes.cpu.utilization import TICK_SECONDS, Times
from probes.model import Roots
from proc_tree import write_process, write_stat

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    """Return roots of a host where process 10 has the child 11, which has the child 12."""
    procfs = tmp_path / "proc"
    procfs.mkdir()
    write_stat(procfs, busy=100, idle=100)
    for pid, children in ((10, "11 "), (11, "12 "), (12, "")):
        write_process(procfs, pid, 5, children)
    return Roots(str(tmp_path / "sys"), str(procfs))


def test_own_time_includes_all_descendants_and_the_rest_belongs_to_others(roots: Roots, tmp_path: Path) -> None:
    activity_monitor = ActivityMonitor(roots, pid=10)
    before = activity_monitor.snapshot()
    write_stat(tmp_path / "proc", busy=104, idle=105, stolen=1)
    write_process(tmp_path / "proc", 10, 6, "11 ")
    write_process(tmp_path / "proc", 12, 7)
    load = cpu_usage_between(before, activity_monitor.snapshot())
    assert load is not None
    assert (load.processors, load.own, load.others, load.stolen) == (2, pytest.approx(3), pytest.approx(5), 2)
    assert load.throttles is None
    assert load.open_seconds == 2 * TICK_SECONDS
    assert 0 < load.seconds < 10


def test_more_own_time_than_the_host_counted_leaves_nothing_for_others(roots: Roots, tmp_path: Path) -> None:
    activity_monitor = ActivityMonitor(roots, pid=10)
    before = activity_monitor.snapshot()
    write_stat(tmp_path / "proc", busy=101, idle=100)
    write_process(tmp_path / "proc", 12, 50)
    load = cpu_usage_between(before, activity_monitor.snapshot())
    assert load is not None
    assert load.others == 0


def test_usage_is_unknown_if_counters_do_not_change_or_a_process_is_hidden(roots: Roots) -> None:
    still, absent = ActivityMonitor(roots, pid=10), ActivityMonitor(roots, pid=99)
    assert cpu_usage_between(still.snapshot(), still.snapshot()) is None
    before = ActivitySnapshot(0, {0: Times(0, 0, 0, 0)}, None, {})
    assert cpu_usage_between(before, ActivitySnapshot(1, {0: Times(9, 9, 0, 0)}, None, {})) is None
    assert absent.snapshot().own_seconds is None


def test_usage_is_unknown_if_the_kernel_does_not_list_children(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "proc/10/task/10/children").unlink()
    assert ActivityMonitor(roots, pid=10).snapshot().own_seconds is None


def test_the_time_of_an_ended_child_belongs_to_its_parent(roots: Roots, tmp_path: Path) -> None:
    activity_monitor = ActivityMonitor(roots, pid=10)
    before = activity_monitor.snapshot()
    (tmp_path / "proc/12/stat").unlink()
    write_process(tmp_path / "proc", 11, 10, "12 ")
    assert activity_monitor.snapshot().own_seconds == before.own_seconds == 15


def test_usage_is_unknown_without_a_readable_proc(tmp_path: Path) -> None:
    activity_monitor = ActivityMonitor(Roots(str(tmp_path), str(tmp_path)))
    assert cpu_usage_between(activity_monitor.snapshot(), activity_monitor.snapshot()) is None


def test_throttle_events_are_those_of_the_processor_with_most_of_them(roots: Roots, tmp_path: Path) -> None:
    counts = []
    for cpu in (0, 1):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "package_throttle_count").write_text("nonsense")
        counts.append(folder / "core_throttle_count")
        counts[-1].write_text("7\n")
    activity_monitor = ActivityMonitor(roots, pid=10)
    before = activity_monitor.snapshot()
    counts[0].write_text("9\n")
    counts[1].write_text("12\n")
    write_stat(tmp_path / "proc", busy=101, idle=100)
    load = cpu_usage_between(before, activity_monitor.snapshot())
    assert load is not None
    assert load.throttles == 5


def test_the_time_of_a_real_child_is_our_own() -> None:
    work = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    activity_monitor = ActivityMonitor(Roots())
    before = activity_monitor.snapshot()
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        load = cpu_usage_between(before, activity_monitor.snapshot())
        child.communicate()
    assert load is not None
    assert load.own >= 0.25
    assert load.seconds <= (time.monotonic_ns() - before.at_ns) / 1e9


def test_the_server_under_load_and_its_children_count_as_this_program(roots: Roots, tmp_path: Path) -> None:
    write_process(tmp_path / "proc", 20, 5, "21 10 ")  # its child 10 is this program, which counts once
    write_process(tmp_path / "proc", 21, 5)
    activity_monitor = ActivityMonitor(roots, pid=10, server={20})
    assert activity_monitor.snapshot().own_seconds == 5 * 5


def test_usage_is_unknown_if_the_processes_of_the_server_are(roots: Roots) -> None:
    assert ActivityMonitor(roots, pid=10, server=None).snapshot().own_seconds is None
