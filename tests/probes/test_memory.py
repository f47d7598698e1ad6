import math

import pytest

from probes.errors import ProbeUnavailableError, ReadError
from probes.memory import discover, parse_meminfo, used_bytes
from probes.model import Kind, Roots
from trees import FIXTURES, write

GUEST = Roots(procfs=str(FIXTURES / "proc/xeon_guest"))


def test_amounts_are_bytes_and_counts_of_pages_are_left_out():
    assert parse_meminfo("MemTotal:       2 kB\nHugePages_Total:      7\nMemAvailable:  1 kB\n") == {
        "MemTotal": 2048,
        "MemAvailable": 1024,
    }


def test_used_memory_is_total_minus_available_memory():
    assert used_bytes({"MemTotal": 1000, "MemFree": 100, "MemAvailable": 700}) == 300.0


def test_a_kernel_without_mem_available_reports_no_used_memory():
    assert math.isnan(used_bytes({"MemTotal": 1000, "MemFree": 100}))


def test_a_read_returns_used_and_total_bytes_in_the_order_of_the_channels():
    (probe,) = discover(GUEST).probes
    assert [channel.metric for channel in probe.channels] == ["memory_used_bytes", "memory_total_bytes"]
    assert {(c.device.id, c.device.kind, c.domain) for c in probe.channels} == {("memory", Kind.MEMORY, "memory")}
    assert probe.read(1) == [(24684092 - 24234584) * 1024.0, 24684092 * 1024.0]
    probe.close()


def test_every_read_asks_the_kernel_again(tmp_path):
    write(tmp_path / "meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB")
    (probe,) = discover(Roots(procfs=str(tmp_path))).probes
    assert probe.read(1)[0] == 40 * 1024.0
    write(tmp_path / "meminfo", "MemTotal: 100 kB\nMemAvailable: 10 kB")
    assert probe.read(2)[0] == 90 * 1024.0
    probe.close()


def test_a_text_without_a_total_is_a_read_error_and_the_next_read_may_work(tmp_path):
    write(tmp_path / "meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB")
    (probe,) = discover(Roots(procfs=str(tmp_path))).probes
    write(tmp_path / "meminfo", "MemFree: 1 kB")
    with pytest.raises(ReadError, match="no MemTotal"):
        probe.read(1)
    write(tmp_path / "meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB")
    assert probe.read(2)[0] == 50 * 1024.0
    probe.close()


@pytest.mark.parametrize("text", [None, "MemTotal: many kB", "nothing"])
def test_discovery_without_a_readable_meminfo_raises_unavailable(tmp_path, text):
    if text is not None:
        write(tmp_path / "meminfo", text)
    with pytest.raises(ProbeUnavailableError) as caught:
        discover(Roots(procfs=str(tmp_path)))
    assert str(tmp_path) in caught.value.reason
    assert caught.value.remedy


def test_this_host_has_more_memory_than_it_uses():
    (probe,) = discover(Roots()).probes
    used, total = probe.read(1)
    assert 0 < used < total
    probe.close()
    probe.close()
