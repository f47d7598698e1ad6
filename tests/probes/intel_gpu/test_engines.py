import errno
import math
import os
import struct

import pytest

from probes.driver_devices import devices_of_class
from probes.errors import ReadError
from probes.intel_gpu.engines import find_engines
from probes.model import Reason, Rejection
from probes.perf_events import PerfSystem
from probes.settings import SensorSettings
from trees import copy_tree, write

CARD = "devices/pci0000:03/0000:03:00.0"
ACTIVE, TOTAL = 0x02, 0x03
RENDER, COMPUTE = 0, 4


class FakeSystem(PerfSystem):
    """A card with one render and two compute engines in part 0; `counts` by (event, class, instance)."""

    def __init__(self):
        self.engines = {(RENDER, 0), (COMPUTE, 0), (COMPUTE, 1)}
        self.counts = {}
        self.open_files = {}
        self.error = 0

    def open(self, attributes, cpu):
        assert cpu == 0
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        pmu_type, size, config = struct.unpack_from("=IIQ", attributes)
        assert (pmu_type, size) == (58, 112)
        event, instance, engine_class, gt = config & 0xFFF, config >> 12 & 0xFF, config >> 20 & 0xFF, config >> 60
        if gt or (engine_class, instance) not in self.engines:
            raise OSError(errno.ENOENT, "No such file or directory")
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self.open_files[descriptor] = (event, engine_class, instance)
        return descriptor

    def read(self, descriptor):
        count = self.counts.get(self.open_files[descriptor], 0)
        if isinstance(count, OSError):
            raise count
        return struct.pack("=Q", count)


@pytest.fixture
def sysfs(tmp_path):
    tree = copy_tree("intel_arc_xe", tmp_path / "tree")
    write(tree / CARD / "power/control", "on")
    return tree


@pytest.fixture
def search(sysfs):
    found = []

    def run(system, **settings):
        (gpu,) = devices_of_class(sysfs, "drm", {"xe"})
        found.append(find_engines(sysfs, gpu, SensorSettings(**settings), system))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def set_ticks(system, engine, active, total):
    system.counts[ACTIVE, *engine], system.counts[TOTAL, *engine] = active, total


def test_each_engine_that_the_kernel_accepts_has_its_busy_share(search):
    system = FakeSystem()
    (probe,) = search(system).probes
    assert [channel.domain for channel in probe.channels] == ["gt0-render0", "gt0-compute0", "gt0-compute1"]
    assert all(map(math.isnan, probe.read(0)))
    set_ticks(system, (RENDER, 0), 32730852, 38436310)
    set_ticks(system, (COMPUTE, 0), 0, 38436310)
    set_ticks(system, (COMPUTE, 1), 38436310, 38436310)
    assert probe.read(0) == [pytest.approx(0.8515607, rel=1e-6), 0.0, 1.0]


def test_without_new_ticks_there_is_no_share(search):
    (probe,) = search(FakeSystem()).probes
    probe.read(0)
    assert all(map(math.isnan, probe.read(0)))
    assert probe.rejections == []


def test_more_busy_ticks_than_ticks_are_impossible(search):
    system = FakeSystem()
    (probe,) = search(system).probes
    probe.read(0)
    set_ticks(system, (RENDER, 0), 20, 10)
    probe.read(0)
    assert probe.rejections == [Rejection(0, Reason.IMPOSSIBLE)]


def test_a_failed_counter_is_no_value_and_all_of_them_are_an_error(search):
    system = FakeSystem()
    (probe,) = search(system).probes
    failed = OSError(errno.EIO, "Input/output error")
    system.counts[ACTIVE, RENDER, 0] = failed
    assert math.isnan(probe.read(0)[0])
    assert probe.rejections == [Rejection(0, Reason.READ_ERROR)]
    system.counts |= dict.fromkeys(system.open_files.values(), failed)
    with pytest.raises(ReadError, match="Input/output error"):
        probe.read(0)


@pytest.mark.parametrize("control", ["auto", ""])
def test_a_card_that_the_kernel_may_suspend_is_left_alone(search, sysfs, control):
    write(sysfs / CARD / "power/control", control)
    system = FakeSystem()
    assert search(system).probes == ()
    assert system.open_files == {}


def test_without_permission_a_note_names_it(search):
    system = FakeSystem()
    system.error = errno.EACCES
    (problem,) = search(system).problems
    assert not problem.is_unreadable
    assert "Permission denied" in problem.reason
    assert "CAP_PERFMON" in problem.remedy


def test_a_driver_without_engine_counters_has_no_probe(search, sysfs):
    (sysfs / "devices/xe_0000_03_00.0/events/engine-active-ticks").unlink()
    assert search(FakeSystem()).probes == ()


def test_closed_engines_leave_no_descriptor(search):
    system = FakeSystem()
    (probe,) = search(system).probes
    descriptors = list(system.open_files)
    probe.close()
    probe.close()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize(("entry", "left"), [("0000:03:00.0", 0), ("0000:03:00.0/gt0-compute1", 2)])
def test_excluded_engines_are_closed(search, entry, left):
    found = search(FakeSystem(), exclude=(entry,))
    assert sum(len(probe.channels) for probe in found.probes) == left
    assert found.excluded == {entry}
