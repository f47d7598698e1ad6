import os

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import Limits, available_bytes, require_memory, resident_bytes, size
from probes.model import Roots

CPU = EngineSpec(device="cpu")


def test_available_memory_is_the_figure_of_the_kernel_or_unknown(tmp_path):
    assert available_bytes() > 1 << 20
    assert available_bytes(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\n")
    assert available_bytes(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:  50 kB\n")
    assert available_bytes(tmp_path) == 51200


def test_the_memory_of_a_process_is_its_resident_and_swapped_bytes_and_0_after_its_end(tmp_path):
    assert resident_bytes(os.getpid()) > 1 << 20
    (tmp_path / "7").mkdir()
    (tmp_path / "7/status").write_text("Name:\tx\nVmRSS:\t 30 kB\nVmSwap:\t 12 kB\n")
    assert resident_bytes(7, tmp_path) == 42 * 1024
    assert resident_bytes(8, tmp_path) == 0


def test_memory_beyond_the_available_or_allowed_amount_is_refused_with_both_figures():
    require_memory(1 << 20, "the model", "less")
    with pytest.raises(WorkloadError, match=r"the model needs at least 1.049e\+06 GiB of memory, .* are available"):
        require_memory(1 << 50, "the model", "less")
    with pytest.raises(WorkloadError, match="needs at least 2 MiB, --memory-limit allows 1 MiB") as failure:
        require_memory(2 << 20, "the model", "less", Limits(memory_bytes=1 << 20))
    assert failure.value.remedy == "less, or give a larger --memory-limit"


def test_the_memory_limit_of_the_control_group_applies_beside_the_memory_of_the_host(tmp_path):
    own, group = tmp_path / "proc/self", tmp_path / "sys/fs/cgroup/app"
    own.mkdir(parents=True)
    group.mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n")
    (own / "cgroup").write_text("0::/app\n")
    (own / "mountinfo").write_text("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (group / "memory.max").write_text("max\n")
    roots = Roots(str(tmp_path / "sys"), str(tmp_path / "proc"))
    require_memory(3 << 30, "the model", "less", roots=roots)
    (group / "memory.max").write_text(f"{2 << 30}\n")
    with pytest.raises(WorkloadError, match="needs at least 3 GiB of memory, 2 GiB are available"):
        require_memory(3 << 30, "the model", "less", roots=roots)


@pytest.mark.parametrize(("amount", "shown"), [(1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (1 << 40, "1024 GiB")])
def test_a_size_is_shown_with_its_unit(amount, shown):
    assert size(amount) == shown
