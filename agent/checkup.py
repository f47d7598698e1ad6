"""The checks behind `inferometer doctor`: what is fine, what is in the way, and what to do about it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import Kind, Source
from probes.registry import POWER_METRICS, discover
from probes.sysfs import read_text

if TYPE_CHECKING:
    from agent.config import Config
    from probes.registry import Discovery

_BUSY_SHARE = 0.2
"""Of the processors already at work, above which other programs disturb a profile."""


class Verdict(StrEnum):
    """How a check came out, from best to worst."""

    PASS = "PASS"  # noqa: S105  no password
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, and what to do if it is not well."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def check_up(config: Config) -> list[Check]:
    """Run every check. Sensors are looked at as a profile would, nothing is changed."""
    found = discover(config.roots, estimates=config.estimates)
    try:
        return [
            _processor_power(found),
            *_unreadable(found),
            *_accelerators(found),
            _engine(),
            _database(config),
            _exporter(config),
            _governor(config),
            _load(config),
        ]
    finally:
        found.close()


def _processor_power(found: Discovery) -> Check:
    channels = [
        channel
        for probe in found.probes
        for channel in probe.channels
        if channel.metric in POWER_METRICS and channel.device.kind in {Kind.CPU, Kind.BOARD, Kind.PSU}
    ]
    name = "processor power"
    measured = sorted({f"{c.device.id}/{c.domain}" for c in channels if c.source is Source.MEASURED})
    if measured:
        return Check(name, Verdict.PASS, f"measured by {', '.join(measured)}")
    why = next((absence for absence in found.absences if absence.family == "rapl"), None)
    reason = why.reason if why else "its sensors may not be read"
    remedy = why.remedy if why and why.remedy else "run where the processor's sensors can be read (see below)"
    if channels:
        half = max(channel.uncertainty for channel in channels)
        return Check(name, Verdict.WARN, f"not measured ({reason}); estimated to ±{half:.0%}", remedy)
    return Check(name, Verdict.FAIL, f"neither measured nor estimated ({reason})", f"{remedy}; or allow --estimates")


def _unreadable(found: Discovery) -> list[Check]:
    return [
        Check(f"sensor {problem.subject}", Verdict.FAIL, problem.reason, problem.remedy) for problem in found.problems
    ]


def _accelerators(found: Discovery) -> list[Check]:
    kinds = {Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR}
    devices = {
        channel.device.id: channel.device
        for probe in found.probes
        for channel in probe.channels
        if channel.device.kind in kinds
    }
    nvml = next((absence for absence in found.absences if absence.family == "nvml"), None)
    checks = [
        Check(f"{device.kind.value} {device.id}", Verdict.PASS, device.name or "found") for device in devices.values()
    ]
    if nvml and nvml.remedy:
        checks.append(Check("nvidia driver", Verdict.FAIL, nvml.reason, nvml.remedy))
    return checks


def _engine() -> Check:
    missing = [name for name in ("onnxruntime", "onnx", "numpy") if find_spec(name) is None]
    if missing:
        remedy = "pip install 'inferometer[onnx]'"
        return Check("inference engine", Verdict.WARN, f"{', '.join(missing)} not installed: no profiles", remedy)
    return Check("inference engine", Verdict.PASS, "ONNX Runtime is installed")


def _database(config: Config) -> Check:
    from store.database import open_database  # noqa: PLC0415  slow to import
    from store.errors import StoreError  # noqa: PLC0415

    plain = "://" not in config.database or config.database.startswith("sqlite")
    path = Path(config.database.removeprefix("sqlite:///"))
    if plain and not path.exists():
        folder = next((parent for parent in path.parents if parent.exists()), Path("/"))
        if os.access(folder, os.W_OK | os.X_OK):
            return Check("database", Verdict.PASS, f"{path} will be made at first use")
        remedy = "choose a writable place with --database PATH"
        return Check("database", Verdict.FAIL, f"{path} cannot be made: {folder} is not writable", remedy)
    try:
        open_database(config.database, create=False).dispose()
    except StoreError as error:
        return Check("database", Verdict.FAIL, f"{error.database}: {error.cause}", error.remedy)
    return Check("database", Verdict.PASS, f"{config.database} is in order")


def _exporter(config: Config) -> Check:
    host, _, port = config.listen.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return Check("exporter", Verdict.PASS, f"something answers at {config.listen}")
    except (OSError, ValueError):
        return Check("exporter", Verdict.PASS, f"{config.listen} is free: no service runs here now")


def _governor(config: Config) -> Check:
    folder = Path(config.roots.sysfs) / "devices/system/cpu"
    governors = {text for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor") if (text := read_text(path))}
    if not governors:
        return Check("clock governor", Verdict.PASS, "the kernel names none (usual in virtual machines)")
    return Check("clock governor", Verdict.PASS, f"{', '.join(sorted(governors))} (recorded, never changed)")


def _load(config: Config) -> Check:
    text = read_text(Path(config.roots.procfs) / "loadavg") or ""
    cores = os.cpu_count() or 1
    if not text:
        return Check("other load", Verdict.WARN, "unknown", f"look at {config.roots.procfs}/loadavg")
    load = float(text.split()[0])
    found = f"load average {load:.2f} on {cores} cores"
    if load > _BUSY_SHARE * cores:
        return Check("other load", Verdict.WARN, found, "stop other work before a profile: top, systemctl list-units")
    return Check("other load", Verdict.PASS, found)
