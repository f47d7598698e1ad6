"""The operations of STREAM: their counts, their results and the check of these, the size of the arrays."""

import os

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import Limits
from agent.workloads.runner.timing import measure
from agent.workloads.stream.spec import StreamSpec, check_memory, require_larger_than_cache
from agent.workloads.stream.workload import StreamWorkload

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
on_numpy = pytest.importorskip("agent.workloads.stream.on_numpy", reason="the onnx extra is not installed")

ELEMENTS = 50_003
MIB = 1 << 20
OPERATIONS = ("copy", "scale", "add", "triad")


class SmallMemory(on_numpy.NumpyMemory):
    """Arrays that a cache holds."""

    def __init__(self, spec, threads):
        super().__init__(spec, EngineSpec(threads=threads))
        self.array_bytes = ELEMENTS * spec.element_bytes


def spec_of(operation, **settings):
    return StreamSpec(operation=operation, **settings)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["fp64", "fp32"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_its_result_in_all_parts(operation, dtype, threads):
    spec = spec_of(operation, dtype=dtype)
    arrays = SmallMemory(spec, threads).arrays(spec)
    assert not arrays.take_result()
    arrays.run()
    assert sum(len(part[0]) for part in arrays._parts) == ELEMENTS
    x, *others = (np.concatenate(parts) for parts in zip(*arrays._parts, strict=True))
    y, z = (others[0], others[-1]) if len(others) > 1 else (None, others[-1])
    expected = {
        "copy": lambda: x,
        "scale": lambda: 3 * x,
        "add": lambda: x + y,
        "triad": lambda: x + 3 * y,
    }
    assert np.array_equal(z, expected[operation]())
    assert len(np.unique(z)) > 1000
    assert arrays.take_result()
    assert not arrays.take_result()  # it is overwritten


@pytest.mark.parametrize(("operation", "moved", "allocated"), [("copy", 2, 3), ("scale", 2, 3), ("add", 3, 4)])
def test_bytes_are_counted_with_and_without_the_lines_read_before_a_write(operation, moved, allocated):
    own = StreamWorkload(spec_of("copy"), SmallMemory(spec_of("copy"), 2))
    phase = own.prepare({"operation": operation})["pass"]
    array = ELEMENTS * 8
    assert (phase.work.moved_bytes, phase.work.allocated_bytes) == (moved * array, allocated * array)
    assert phase.work.operations is None
    assert spec_of(operation).work(array, on_host=False).allocated_bytes is None


def test_a_wrong_element_is_found_after_the_window():
    own = StreamWorkload(spec_of("copy"), SmallMemory(spec_of("copy"), 1))
    phase = own.prepare({"operation": "add"})["pass"]
    assert measure("pass", phase, 0.0, 2).inferences == 2
    with pytest.raises(WorkloadError, match="operation=add: the result has wrong values"):
        phase.verify()


def test_the_facts_name_engine_device_and_threads():
    ready = StreamWorkload(spec_of("copy"), SmallMemory(spec_of("copy"), 2)).ready
    assert (ready.engine, ready.provider, ready.device, ready.threads) == ("numpy", "cpu", "cpu", 2)
    usable = len(os.sched_getaffinity(0))
    assert SmallMemory(spec_of("copy"), 0).threads == usable


def test_threads_of_chosen_nodes_run_on_their_cpus():
    spec = spec_of("copy", numa_nodes="0")
    arrays = SmallMemory(spec, 2).arrays(spec)
    bound = [thread.submit(os.sched_getaffinity, 0).result() for thread in arrays._threads]
    assert bound == [set(spec.cpus()[0])] * 2


def test_arrays_that_a_cache_could_hold_are_refused():
    with pytest.raises(WorkloadError, match=r"--array-mib 127: caches of 32 MiB .*") as refused:
        require_larger_than_cache(127 * MIB, 32 * MIB)
    assert refused.value.remedy == "choose --array-mib 128 or more, or 0"
    require_larger_than_cache(128 * MIB, 32 * MIB)


def test_arrays_beyond_the_memory_are_refused():
    with pytest.raises(WorkloadError, match=r"three arrays needs at least"):
        check_memory(spec_of("copy", array_mib=1 << 20), EngineSpec(), (), Limits(memory_bytes=1 << 30))


def test_lists_of_nodes_are_checked():
    with pytest.raises(ValueError, match="--numa-nodes: 'a' is not a number"):
        spec_of("copy", numa_nodes="0,a")
    with pytest.raises(WorkloadError, match="this host has no NUMA node 999"):
        spec_of("copy", numa_nodes="999").cpus()


def test_the_profile_has_the_chosen_size_of_an_array_where_none_was_given():
    spec = spec_of("copy")
    memory = on_numpy.NumpyMemory(spec, EngineSpec(threads=1))
    assert StreamWorkload(spec, memory).ready.chosen == {"array_mib": spec.array_bytes() // MIB}
    assert memory.array_bytes >= MIB
