"""Describes the host once, for the store and the profile."""

from __future__ import annotations

import hashlib
import hmac
import platform
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.cpu_cache import identify, state_folder
from probes.sysfs import read_label, read_text
from probes.text import one_line
from store.records import Host

if TYPE_CHECKING:
    from probes.model import Roots

_APPLICATION = b"inferometer"
_NO_MACHINE_ID = ("", "uninitialized")
"""The content of /etc/machine-id until the first boot, after machine-id(5)."""


def describe_host(roots: Roots, labels: tuple[tuple[str, str], ...] = ()) -> Host:
    """Return the facts about this host with its labels.

    The first call of a user takes a second to identify the processor.
    """
    procfs = Path(roots.procfs)
    cpu = identify(roots.procfs, state_folder())
    meminfo = read_text(procfs / "meminfo") or ""
    cpuinfo = read_text(procfs / "cpuinfo") or ""
    return Host(
        id=host_id(),
        name=one_line(socket.gethostname()),
        boot_id=read_label(procfs / "sys/kernel/random/boot_id"),
        kernel=platform.release(),
        operating_system=operating_system(read_text(Path("/etc/os-release")) or ""),
        cpu_model=cpu.brand,
        microarchitecture=cpu.microarchitecture,
        cpu_flags=cpu.flags,
        cores=sum(line.startswith("processor") for line in cpuinfo.splitlines()),
        memory_bytes=total_memory(meminfo),
        virtual=cpu.virtual,
        labels=labels,
    )


def host_id(machine_id: str | None = None) -> str:
    """Return an id of this machine that survives reboots and does not reveal the machine id.

    It is an HMAC-SHA256 of this application's name under the machine id, as machine-id(5) requires, or of the host's
    name without a machine id.
    """
    known = read_text(Path("/etc/machine-id")) or "" if machine_id is None else machine_id
    secret = socket.gethostname() if known in _NO_MACHINE_ID else known
    return hmac.new(secret.encode(), _APPLICATION, hashlib.sha256).hexdigest()[:32]


def operating_system(os_release: str) -> str:
    """Return PRETTY_NAME of an os-release(5) text, empty if it has none."""
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return one_line(value.strip().strip("\"'"))
    return ""


def total_memory(meminfo: str) -> int:
    """Return MemTotal of a /proc/meminfo text in bytes, 0 if it has none."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
