"""Caches and NUMA nodes, read from trees of sysfs."""

import pytest

from agent.workloads.errors import WorkloadError
from agent.workloads.stream.memory import cpus_of_nodes, last_level_bytes

MIB = 1 << 20


def cache(level, size, shared, kind="Unified"):
    return {"level": f"{level}\n", "type": f"{kind}\n", "size": f"{size}\n", "shared_cpu_list": f"{shared}\n"}


def write_caches(folder, caches):
    for place, values in caches.items():
        for name, text in values.items():
            path = folder / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def test_each_last_level_cache_counts_once(tmp_path):
    write_caches(
        tmp_path,
        {
            "cpu0/cache/index0": cache(1, "32K", "0", "Data"),
            "cpu0/cache/index1": cache(1, "64K", "0", "Instruction"),
            "cpu0/cache/index3": cache(3, "32768K", "0-1"),
            "cpu1/cache/index3": cache(3, "32768K", "0-1"),
            "cpu2/cache/index3": cache(3, "16M", "2-3"),
        },
    )
    assert last_level_bytes([0, 1], tmp_path) == 32 * MIB
    assert last_level_bytes([0, 1, 2], tmp_path) == 48 * MIB


def test_caches_that_the_kernel_does_not_describe_are_unknown(tmp_path):
    write_caches(tmp_path, {"cpu0/cache/index3": cache(3, "", "0-1"), "cpu1/cache/index3": cache(3, "many", "1")})
    assert last_level_bytes([0, 1, 7], tmp_path) is None


def test_nodes_have_their_cpus(tmp_path):
    for node, cpus in (("node0", "0-1,4"), ("node1", "")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "cpulist").write_text(f"{cpus}\n")
    assert cpus_of_nodes([0], tmp_path) == {0: (0, 1, 4)}
    with pytest.raises(WorkloadError, match="the NUMA node 1 has no CPUs"):
        cpus_of_nodes([1], tmp_path)
    with pytest.raises(WorkloadError, match="no NUMA node 2") as refused:
        cpus_of_nodes([2], tmp_path)
    assert refused.value.remedy == "choose from 0, 1"
