"""Runs the checks of `inferometer doctor`: each finding has a verdict and a remedy."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.checks import Check, Verdict, check_host, hanging, stuck_counters
from agent.host.observation import observe
from agent.host.server_processes import ServerProcesses
from agent.runtime.closing import close_probes
from agent.workloads import registry
from probes.cpu.model import parse_cpuinfo
from probes.model import Kind
from probes.registry import discover, families
from probes.sysfs import read_text
from store.revision import is_current

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import Config
    from agent.config.serving import ServingConfig
    from agent.workloads.declaration import Workload
    from probes.family import ServiceNeeds
    from probes.registry import Discovery


def run_checks(config: Config) -> list[Check]:
    """Run every check. Sensors are read as by a profile; nothing is changed."""
    cpuinfo = read_text(Path(config.roots.procfs) / "cpuinfo") or ""
    found = discover(config.roots, config.sensors)
    try:
        observed = observe(found.probes)
        virtual = parse_cpuinfo(cpuinfo).virtual
        power, *host_checks = check_host(config.roots, found, config.database, virtual=virtual, observed=observed)
        return [
            power,
            *stuck_counters(found, observed),
            *hanging(observed),
            *_unreadable(found),
            *_accelerators(found),
            *_missing(found),
            *service_families(config, found),
            *workloads(),
            database(config.database),
            exporter(config.listen),
            *serving(config, found),
            *host_checks,
        ]
    finally:
        close_probes(found)


def worst_verdict(checks: list[Check]) -> Verdict:
    """Return the worst verdict."""
    return max((check.verdict for check in checks), key=list(Verdict).index, default=Verdict.PASS)


def _unreadable(found: Discovery) -> list[Check]:
    return [
        Check(f"sensor {each.sensor}", Verdict.FAIL, each.reason, each.remedy)
        if each.is_unreadable
        else Check(f"sensor {each.sensor}", Verdict.PASS, each.reason)
        for each in found.problems
    ]


def _accelerators(found: Discovery) -> list[Check]:
    kinds = {Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR}
    devices = {
        channel.device.id: channel.device
        for probe in found.probes
        for channel in probe.channels
        if channel.device.kind in kinds
    }
    return [
        Check(f"{device.kind.value} {device.id}", Verdict.PASS, device.name or "found") for device in devices.values()
    ]


def _missing(found: Discovery) -> list[Check]:
    """Report the families without a sensor that a remedy can give one; an absence that is normal has no remedy.

    The check of power covers RAPL, which virtual machines lack.
    """
    return [
        Check("nvidia driver", Verdict.FAIL, missing.reason, missing.remedy)
        if missing.family == "nvml"
        else Check(f"sensors of {missing.family}", Verdict.WARN, missing.reason, missing.remedy)
        for missing in found.missing_families
        if missing.remedy and missing.family != "rapl"
    ]


def _is_needed(needs: ServiceNeeds) -> bool:
    """Return whether a permission concerns this host: files that tmpfiles.d would open must exist."""
    paths = [line.split()[1] for line in needs.tmpfiles]
    return not paths or any(any(Path("/").glob(path.lstrip("/"))) for path in paths)


def service_families(config: Config, found: Discovery, root: Path = Path("/")) -> list[Check]:
    """Report the families that this command may read and an installed service may not; `root` has the unit."""
    from agent.install.drop_ins import UNIT, enabled  # noqa: PLC0415 -- slow to import

    if not (root / UNIT).exists():
        return []
    opened = enabled(root)
    kinds = {meter.kind for meter in config.sensors.meters}
    here = {probe.name.partition("/")[0] for probe in found.probes}
    closed = [
        family.name
        for family in families()
        if family.needs_unit
        and family.name not in opened
        and ((family.name in here and _is_needed(family.service)) or kinds & {*family.meter_kinds})
    ]
    reason = "the unit of the service does not let it read every sensor of this family"
    return [
        Check(f"service {name}", Verdict.WARN, reason, f"sudo inferometer service install --enable {name}")
        for name in closed
    ]


def workloads(find: Callable[[str], object] = find_spec) -> list[Check]:
    """Return for each workload whether it can run; `find` returns None for a module that is missing, and loads none."""
    checks = []
    for name in registry.names():
        try:
            workload = registry.find(name)
        except registry.UnknownWorkloadError as error:
            checks.append(Check(f"workload {name}", Verdict.WARN, str(error), "reinstall or remove the package"))
            continue
        checks.append(_workload(name, workload, find))
    return checks


def _workload(name: str, workload: Workload, find: Callable[[str], object]) -> Check:
    """Check that an engine of a workload is installed; the remedy is that of the default engine."""
    missing = {engine: absent for engine in workload.engines if (absent := engine.missing(find))}
    usable = [engine.name for engine in workload.engines if engine not in missing]
    if missing and not usable:
        default = workload.engines[0]
        if workload.on_demand:
            return Check(f"workload {name}", Verdict.PASS, f"not installed: {default.remedy}")
        return Check(f"workload {name}", Verdict.WARN, f"{', '.join(missing[default])} not installed", default.remedy)
    others = f" for {', '.join(usable)}, not for {', '.join(each.name for each in missing)}" if missing else ""
    return Check(f"workload {name}", Verdict.PASS, f"installed{others}")


def database(address: str) -> Check:
    """Check that the store can be used. A missing one is not created, and a current SQLite file needs no SQLAlchemy."""
    path = _sqlite_path(address)
    if path is not None and not path.exists():
        return _new_database("database", path)
    if path is not None and is_current(path):
        return _writable("database", str(path))
    return _opened("database", address)


def _sqlite_path(address: str) -> Path | None:
    """Return the absolute path in an address, None for a URL, which only the store can parse."""
    plain = address.removeprefix("sqlite:///")
    if not plain or set(plain) & set(":?%"):
        return None
    with suppress(OSError, RuntimeError, ValueError):
        return Path(plain).expanduser().resolve()
    return None


def _opened(name: str, address: str) -> Check:
    from store.database import open_database  # noqa: PLC0415  same
    from store.errors import MissingDatabaseError, StoreError  # noqa: PLC0415  same
    from store.url import display, parse  # noqa: PLC0415  slow to import

    try:
        url = parse(address)
        open_database(address, create=False).dispose()
    except MissingDatabaseError as error:
        return _new_database(name, Path(error.database))
    except StoreError as error:
        return Check(name, Verdict.FAIL, f"{error.database}: {error.cause}", error.remedy)
    if url.get_backend_name() == "sqlite":
        return _writable(name, display(url))
    return Check(name, Verdict.PASS, f"{display(url)} is in order")


def _writable(name: str, path: str) -> Check:
    if not os.access(path, os.W_OK):
        remedy = "run as its owner to store profiles there, or choose another place with --database PATH"
        return Check(name, Verdict.WARN, f"{path} is read-only for this user", remedy)
    return Check(name, Verdict.PASS, f"{path} is in order")


def _new_database(name: str, path: Path) -> Check:
    if not path.is_absolute():
        return Check(name, Verdict.PASS, f"{path} is empty; its tables will be created at first use")
    place = next(parent for parent in (path, *path.parents) if parent.exists())
    if (place == path or place.is_dir()) and os.access(place, os.W_OK | (os.X_OK if place.is_dir() else 0)):
        return Check(name, Verdict.PASS, f"{path} will be created at first use")
    why = f"{place} {'is not writable' if place.is_dir() else 'is not a folder'}"
    return Check(name, Verdict.FAIL, f"{path} cannot be created: {why}", "choose another place with --database PATH")


def serving(config: Config, found: Discovery, root: Path = Path("/")) -> list[Check]:
    """Check for each server of production traffic whether its energy can be attributed; `root` has the unit."""
    if not config.serving:
        return []
    from agent.install.systemd import hides_processes  # noqa: PLC0415 -- slow to import

    known = {channel.device.id for probe in found.probes for channel in probe.channels}
    hidden = hides_processes(root)
    return [_serving_check(server, config.roots.procfs, known, hidden=hidden) for server in config.serving]


def _serving_check(server: ServingConfig, procfs: str, known: set[str], *, hidden: bool) -> Check:
    name = f"serving {server.name}"
    if missing := [device for device in server.devices if device not in known]:
        remedy = f"set devices to some of {', '.join(sorted(known)) or 'the devices of a host with sensors'}"
        return Check(name, Verdict.FAIL, f"{', '.join(missing)}: this host has no such device", remedy)
    if hidden and not server.devices:
        remedy = "set devices, or let the service see them (docs/production-traffic.md)"
        found = "the systemd unit hides the processes of other users from the service, so no energy is attributed"
        return Check(name, Verdict.FAIL, found, remedy)
    processes = ServerProcesses(procfs, server.port).advance()
    if processes:
        return Check(name, Verdict.PASS, f"port {server.port} is that of {len(processes[0])} visible processes")
    found = f"no visible process of this host listens on port {server.port}"
    if server.devices:
        share = f"the energy of {', '.join(server.devices)} above idle is that of its servers"
        return Check(name, Verdict.PASS, f"{found}; {share}")
    remedy = "set devices, start the server, or run the service as a user who may see its processes"
    return Check(name, Verdict.FAIL, f"{found}, so no energy is attributed", remedy)


def exporter(listen: str) -> Check:
    """Report whether this service, another program or none answers at the exporter's address."""
    name = "exporter"
    host, _, port = listen.rpartition(":")
    try:
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=1).close()
    except ValueError:
        remedy = "set listen = '127.0.0.1:19795' under [exporter]"
        return Check(name, Verdict.FAIL, f"{listen!r} is not an address", remedy)
    except OSError:
        return Check(name, Verdict.PASS, f"{listen} is free: no service is running")
    from agent.install.systemd import ask_health  # noqa: PLC0415  slow to import

    health = ask_health(listen)
    if health.ok:
        return Check(name, Verdict.PASS, f"the service answers at {listen}")
    remedy = "find it with: ss -ltnp; or let the service listen elsewhere: listen under [exporter]"
    return Check(name, Verdict.WARN, f"another program answers at {listen} ({health.answer})", remedy)
