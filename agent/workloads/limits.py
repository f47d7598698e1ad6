"""The limits of a run: the time without an answer, and the memory of the workload and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.runtime.cgroup import read_limits
from agent.workloads.errors import WorkloadError
from probes.memory import parse_meminfo
from probes.model import Roots

DEFAULT_TIMEOUT_SECONDS = 600.0
_GIB = 1 << 30
_MIB = 1 << 20
_OWN_ROOTS = Roots()
_OWN_PROCFS = Path(_OWN_ROOTS.procfs)
"""The workload runs on this host, even if the sensors are read from other roots."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout_seconds` bounds every command beyond its own length; `memory_bytes` is None if memory is unlimited."""

    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    memory_bytes: int | None = None


def available_bytes(procfs: Path = _OWN_PROCFS) -> int | None:
    """Return the bytes that new programs can use without swapping, None if the kernel does not report them."""
    try:
        return parse_meminfo((procfs / "meminfo").read_text(encoding="ascii")).get("MemAvailable")
    except (OSError, ValueError):
        return None


def resident_bytes(pid: int, procfs: Path = _OWN_PROCFS) -> int:
    """Return the memory of a process in bytes, in RAM and swapped out; 0 after its end."""
    try:
        amounts = parse_meminfo((procfs / str(pid) / "status").read_text(encoding="ascii", errors="replace"))
    except OSError:
        return 0
    return amounts.get("VmRSS", 0) + amounts.get("VmSwap", 0)


def require_memory(
    needed_bytes: int, subject: str, remedy: str, limits: Limits | None = None, roots: Roots = _OWN_ROOTS
) -> None:
    """Raise WorkloadError with the figures if the needed memory exceeds the available memory or a limit.

    The limits are those of the run and of the control group.
    """
    limit = limits.memory_bytes if limits else None
    if limit is not None and needed_bytes > limit:
        raise WorkloadError(
            f"{subject} needs at least {size(needed_bytes)}, --memory-limit allows {size(limit)}",
            f"{remedy}, or give a larger --memory-limit",
        )
    amounts = [
        each for each in (available_bytes(Path(roots.procfs)), read_limits(roots).memory_bytes) if each is not None
    ]
    available = min(amounts, default=None)
    if available is not None and needed_bytes > available:
        raise WorkloadError(
            f"{subject} needs at least {size(needed_bytes)} of memory, {size(available)} are available", remedy
        )


def size(amount: int) -> str:
    """Return an amount of bytes for a message: `1.5 GiB`, `20 MiB`."""
    return f"{amount / _GIB:.4g} GiB" if amount >= _GIB else f"{amount / _MIB:.3g} MiB"
