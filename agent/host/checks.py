"""Checks this host for disturbances before a measurement; each finding has its remedy."""

from __future__ import annotations

import math
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.observation import Observation
from agent.runtime.cgroup import read_limits
from probes.cpu.utilization import Utilization
from probes.deadline import NoAnswerError, within
from probes.errors import ReadError
from probes.meters.device import RACK
from probes.model import ENERGY_METRICS, Kind, Source
from probes.sysfs import read_int, read_label, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.runtime.cgroup import Limits
    from probes.model import Channel, Roots
    from probes.registry import Discovery

BUSY_SHARE = 0.1
"""The share of the processors in other use above which a measurement is disturbed."""
_LOAD_SAMPLE_SECONDS = 0.5
_CHECK_TIMEOUT_SECONDS = 2.0
_THERMAL_MARGIN_CELSIUS = 5.0
_REQUIRED_DISK_BYTES = 200e6
"""The space for a long run, which stores about 100 samples a second for each energy sensor."""
_COVERING = frozenset({Kind.CPU, Kind.BOARD, Kind.HOST, Kind.PSU})
"""The kinds of devices whose power includes that of processors."""


NOT_OBSERVED = Observation({})
STUCK_REMEDY = (
    "a virtual machine or a firmware setting may block the counter; compare with `cat` of its file twice, update the "
    "firmware, or measure on the host"
)
HANGING_REMEDY = "look for the device in the kernel log (dmesg); reset the device or reboot the host"


class Verdict(StrEnum):
    """The result of a check, from best to worst."""

    PASS = "PASS"  # noqa: S105  no password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its finding, and the remedy if there is a problem."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def check_host(
    roots: Roots, found: Discovery, database: str, *, virtual: bool, observed: Observation = NOT_OBSERVED
) -> list[Check]:
    """Run every check for disturbances of a measurement; takes half a second and changes nothing."""
    return [
        processor_power(found, observed),
        virtual_machine(virtual=virtual),
        cpu_limit(read_limits(roots)),
        clock_governor(Path(roots.sysfs)),
        _check_with_deadline("temperature", lambda: thermal(Path(roots.sysfs))),
        cpu_load(roots),
        disk_space(database),
    ]


def _check_with_deadline(name: str, check: Callable[[], Check]) -> Check:
    """Return the result of a check that reads a driver's files, or a warning if they do not answer in time."""
    try:
        return within(_CHECK_TIMEOUT_SECONDS, check, f"check-{name}")
    except NoAnswerError:
        return Check(name, Verdict.WARN, f"unknown: no answer within {_CHECK_TIMEOUT_SECONDS:g} s", HANGING_REMEDY)


def processor_power(found: Discovery, observed: Observation = NOT_OBSERVED) -> Check:
    """Report whether a sensor that changes, or a model, shows the power of the processors."""
    channels = [
        channel
        for probe in found.probes
        for channel in probe.channels
        if channel.metric in ENERGY_METRICS and channel.device.kind in _COVERING and channel.domain != RACK
    ]
    name = "processor power"
    measuring = [channel for channel in channels if channel.source is Source.MEASURED]
    measured = _names(channel for channel in measuring if not observed.is_stuck(channel))
    if measured:
        return Check(name, Verdict.PASS, f"measured by {measured}")
    if measuring:
        still = f"{_names(measuring)}: no counter changed in {observed.seconds:g} s, so its energy cannot be measured"
        return Check(name, Verdict.FAIL, still, STUCK_REMEDY)
    reason, remedy = _unmeasured_reason(found)
    if channels and any(observed.is_stuck(each) for probe in found.probes for each in probe.channels):
        still = (
            "the estimate needs /proc/stat, whose counters do not change (gVisor and some sandboxes leave them at 0)"
        )
        return Check(name, Verdict.FAIL, still, remedy)
    if channels:
        half = max(channel.uncertainty for channel in channels)
        return Check(name, Verdict.WARN, f"estimated to ±{100 * half:.0f} %, not measured: {reason}", remedy)
    return Check(name, Verdict.FAIL, f"neither measured nor estimated: {reason}", f"{remedy}; or allow --estimates")


def _unmeasured_reason(found: Discovery) -> tuple[str, str]:
    """Return the reason why no sensor measures the processors, and the remedy."""
    general = "run where the processor's sensors can be read: on the host itself, or as root"
    for missing in found.missing_families:
        if missing.family == "rapl":
            return missing.reason, missing.remedy or general
    for problem in found.problems:
        if problem.is_unreadable:
            return f"{problem.sensor}: {problem.reason}", problem.remedy
    if found.excluded:
        return f"no sensor covers them (excluded: {', '.join(found.excluded)})", "exclude no sensor that covers them"
    return "no sensor covers them", general


def stuck_counters(found: Discovery, observed: Observation) -> list[Check]:
    """Return a failed check for each unchanged energy counter, and one for an unchanged /proc/stat."""
    channels = [channel for probe in found.probes for channel in probe.channels if observed.is_stuck(channel)]
    counters = [channel for channel in channels if channel.metric in ENERGY_METRICS]
    checks = [
        Check(
            f"sensor {channel.path}",
            Verdict.FAIL,
            f"its energy counter did not change in {observed.seconds:g} s: it measures nothing",
            STUCK_REMEDY,
        )
        for channel in counters
    ]
    if len(counters) < len(channels):
        stuck = f"its counters did not change for {observed.seconds:g} s, so utilization is unknown"
        remedy = "run outside of the sandbox (gVisor leaves /proc/stat at 0), or mount the host's with --path.procfs"
        checks.append(Check("/proc/stat", Verdict.FAIL, stuck, remedy))
    return checks


def hanging(observed: Observation) -> list[Check]:
    """Return a failed check for the sensors whose read did not return, if there are any."""
    if not observed.hanging:
        return []
    silent = f"the read of {_names(observed.hanging)} did not return within {observed.seconds:g} s"
    return [Check("hanging sensors", Verdict.FAIL, silent, HANGING_REMEDY)]


def _names(channels: Iterable[Channel]) -> str:
    return ", ".join(sorted({channel.path for channel in channels}))


def virtual_machine(*, virtual: bool) -> Check:
    """Report whether other guests share the hardware."""
    if virtual:
        found = "other guests share the hardware, so performance varies"
        return Check("virtual machine", Verdict.WARN, found, "for numbers of the hardware itself, run on bare metal")
    return Check("virtual machine", Verdict.PASS, "the processor reports none")


def cpu_limit(limits: Limits) -> Check:
    """Report the quota, the CPU set and the memory limit of this process."""
    memory = f"; memory is limited to {limits.memory_bytes / 1e9:.3g} GB" if limits.memory_bytes else ""
    cpus = f"{limits.usable_cpus} CPU{'s' * (limits.usable_cpus != 1)}"
    if limits.quota_cpus is None or limits.quota_cpus >= limits.usable_cpus:
        return Check("CPU limit", Verdict.PASS, f"this process may use {cpus}, no quota{memory}")
    found = f"limited to {limits.quota_cpus:g} of {cpus} by a cgroup quota, which stops a run that reaches it{memory}"
    remedy = (
        "if this host serves that way, leave it; else raise the quota (`docker run --cpus`, Kubernetes `limits.cpu`, "
        "systemd CPUQuota=)"
    )
    return Check("CPU limit", Verdict.WARN, found, remedy)


def clock_governor(sysfs: Path) -> Check:
    """Report whether the clocks of the processors follow the load."""
    name = "clock governor"
    policies = (sysfs / "devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    governors = sorted({text for path in policies if (text := read_label(path))})
    if not governors:
        return Check(name, Verdict.PASS, "the kernel reports none (usual in virtual machines)")
    if governors == ["performance"]:
        return Check(name, Verdict.PASS, "performance")
    remedy = (
        "if this host serves that way, leave it; repeats are closer with: sudo cpupower frequency-set -g performance"
    )
    return Check(name, Verdict.WARN, f"{', '.join(governors)}: the clocks follow the load", remedy)


def thermal(sysfs: Path) -> Check:
    """Report whether a thermal zone is close to throttling the processors (Documentation/driver-api/thermal)."""
    zones = sorted((sysfs / "class/thermal").glob("thermal_zone*"))
    hottest = ""
    readable = 0
    for zone in zones:
        now, limit = read_int(zone / "temp"), _throttle_point(zone)
        if now is None or limit is None:
            continue
        readable += 1
        if now >= limit - _THERMAL_MARGIN_CELSIUS * 1000:
            kind = read_label(zone / "type") or zone.name
            hottest = f"{kind} is at {now / 1000:.0f} °C and throttles from {limit / 1000:.0f} °C"
    if hottest:
        return Check("temperature", Verdict.WARN, hottest, "let it cool down; check its fans and its air flow")
    if not readable:
        return Check("temperature", Verdict.PASS, "no thermal zone is readable (usual in virtual machines)")
    return Check("temperature", Verdict.PASS, f"{readable} thermal zones, none near its limit")


def _throttle_point(zone: Path) -> int | None:
    """Return the lowest trip point at which a zone throttles or is in danger, in thousandths of a degree Celsius."""
    points = [
        limit
        for kind in zone.glob("trip_point_*_type")
        if read_text(kind) in {"passive", "hot", "critical"}
        and (limit := read_int(kind.with_name(kind.name.replace("_type", "_temp")))) is not None
    ]
    return min((limit for limit in points if limit > 0), default=None)


def cpu_load(roots: Roots) -> Check:
    """Report the load of other processes over half a second, and the busiest of them."""
    name = "other load"
    try:
        utilization = Utilization(roots)
    except (OSError, ReadError) as error:
        return Check(name, Verdict.WARN, f"unknown: {error}", "mount proc, or set its path with --path.procfs")
    try:
        utilization.advance()
        before = _processor_seconds(roots.procfs)
        time.sleep(_LOAD_SAMPLE_SECONDS)
        share = utilization.advance().host
        after = _processor_seconds(roots.procfs)
    except ReadError as error:
        return Check(name, Verdict.WARN, f"unknown: {error}", "")
    finally:
        utilization.close()
    if math.isnan(share):
        return Check(
            name, Verdict.WARN, "unknown: the counters of /proc/stat do not change", "run outside of the sandbox"
        )
    found = f"the processors are {100 * share:.0f} % busy"
    if share <= BUSY_SHARE:
        return Check(name, Verdict.PASS, found)
    return Check(
        name, Verdict.WARN, found + _busiest_process(before, after), "stop other work before a profile; `top` shows it"
    )


def _busiest_process(before: dict[tuple[int, str], float], after: dict[tuple[int, str], float]) -> str:
    worked = {process: seconds - before[process] for process, seconds in after.items() if process in before}
    busiest = max(worked, key=worked.__getitem__, default=None)
    if busiest is None or worked[busiest] < BUSY_SHARE * _LOAD_SAMPLE_SECONDS:
        return ""
    return f", most of all process {busiest[0]} ({busiest[1]})"


def _processor_seconds(procfs: str) -> dict[tuple[int, str], float]:
    """Return the processor time of every process but this one, by number and name."""
    import psutil  # noqa: PLC0415  only a run and the doctor look at processes

    seconds: dict[tuple[int, str], float] = {}
    if next(Path(procfs).glob("[0-9]*"), None) is None:
        return seconds  # psutil assumes that there are processes
    psutil.PROCFS_PATH = procfs
    with suppress(OSError, psutil.Error):
        for process in psutil.process_iter(["name", "cpu_times"]):
            spent = process.info["cpu_times"]
            if spent is not None and process.pid != os.getpid():
                seconds[process.pid, process.info["name"]] = spent.user + spent.system
    return seconds


def disk_space(database: str) -> Check:
    """Report whether the disk of the store has space for the samples of a long run; a server is not checked."""
    name = "disk space"
    if "://" in database and not database.startswith("sqlite"):
        return Check(name, Verdict.PASS, "the store is on a server")
    path = Path(database.removeprefix("sqlite:///")).absolute()
    folder = next(parent for parent in path.parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free at {folder}"
    if free < _REQUIRED_DISK_BYTES:
        return Check(name, Verdict.WARN, found, "free some space, or choose another place with --database PATH")
    return Check(name, Verdict.PASS, found)
