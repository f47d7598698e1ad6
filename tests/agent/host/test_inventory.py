from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from agent.host.inventory import describe_host, host_id, operating_system, total_memory
from probes.model import Roots

PROC = Path(__file__).parent.parent.parent / "fixtures/proc"
MACHINE_ID = "b08dfa6083e7567a1921a715000001fb"


def test_the_host_id_is_stable_and_does_not_reveal_the_machine_id() -> None:
    found = host_id(MACHINE_ID)
    assert found == host_id(MACHINE_ID)
    assert re.fullmatch("[0-9a-f]{32}", found)
    assert not any(MACHINE_ID[i : i + 6] in found for i in range(len(MACHINE_ID) - 6))
    assert found != host_id(MACHINE_ID.replace("b", "c"))


@pytest.mark.parametrize("machine_id", ["", "uninitialized"])
def test_without_a_machine_id_the_host_name_replaces_it(machine_id: str) -> None:
    assert host_id(machine_id) == host_id(socket.gethostname())


def test_a_host_is_described_from_the_given_roots() -> None:
    host = describe_host(Roots(procfs=str(PROC / "xeon_guest")))
    assert host.id == host_id()
    assert host.name == socket.gethostname()
    assert (host.cores > 0, host.memory_bytes > 0, host.virtual) == (True, True, True)
    assert "avx2" in host.cpu_flags
    assert host.boot_id == ""


def test_without_procfs_nothing_is_invented(tmp_path: Path) -> None:
    host = describe_host(Roots(procfs=str(tmp_path)))
    assert (host.cores, host.memory_bytes, host.cpu_model, host.cpu_flags, host.boot_id) == (0, 0, "", (), "")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Alpine Linux'\n", "Alpine Linux"),
        ("PRETTY_NAME=Void\n", "Void"),
        ("NAME=Nameless\n", ""),
        ("", ""),
    ],
)
def test_the_operating_system_is_its_pretty_name(text: str, name: str) -> None:
    assert operating_system(text) == name


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("MemTotal:       24684064 kB\nMemFree: 1 kB\n", 24684064 * 1024),
        ("MemFree: 1 kB\n", 0),
        ("MemTotal:\n", 0),
        ("MemTotal: lots kB\n", 0),
        ("", 0),
    ],
)
def test_memory_is_in_bytes_and_0_if_unreported(text: str, size: int) -> None:
    assert total_memory(text) == size
