"""Opens the unit of the service for single families of sensors: a drop-in for each, with what that family needs.

The permissions are the `service` of a family in `probes/family.py`. A family of network meters gets the addresses of
its configured meters.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.config import Config, ConfigError, load
from agent.config.meters import meters_of_host
from agent.install.files import Change, FileStatus, file_status, remove, write
from probes.registry import known_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from probes.family import Family, ServiceNeeds
    from probes.settings import MeterConfig

    Resolve = Callable[[str], Sequence[str]]

UNIT = "etc/systemd/system/inferometer.service"
FOLDER = f"{UNIT}.d"
NONE = "none"
_UNIT, _RULES, _TMPFILES = (
    f"{FOLDER}/family-{{}}.conf",
    "etc/udev/rules.d/61-inferometer-{}.rules",
    "etc/tmpfiles.d/inferometer-{}.conf",
)
_LOCAL = "local"
_SUBSYSTEM = re.compile(r'SUBSYSTEM=="([^"]+)"')


class FamilyError(Exception):
    """A family cannot be enabled; the message has the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class FamilyFiles:
    """The files for one family, each as its path below the root and its text, and notes for the administrator."""

    family: str
    files: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def subsystems(self) -> tuple[str, ...]:
        """The subsystems of its udev rules."""
        return tuple(match for _, text in self.files for match in _SUBSYSTEM.findall(text))

    @property
    def tmpfiles(self) -> tuple[str, ...]:
        """The paths of its configuration of tmpfiles.d."""
        return tuple(f"/{place}" for place, _ in self.files if place == places(self.family)[2])


def enabled(root: Path) -> tuple[str, ...]:
    """Return the names of the families that are enabled below `root`."""
    prefix, suffix = "family-", ".conf"
    found = (path.name for path in (root / FOLDER).glob(f"{prefix}*{suffix}"))
    return tuple(sorted(name.removeprefix(prefix).removesuffix(suffix) for name in found))


def places(family: str) -> tuple[str, ...]:
    """Return the paths of all files that a family can have, below the root."""
    return tuple(pattern.format(family) for pattern in (_UNIT, _RULES, _TMPFILES))


def write_drop_ins(root: Path, wanted: Iterable[FamilyFiles]) -> tuple[Change, ...]:
    """Write the files of the wanted families below `root`, and remove those of every other one. Raises OSError."""
    texts = dict(file for each in wanted for file in each.files)
    stale = [place for name in enabled(root) for place in places(name) if place not in texts]
    changes = [write(root, place, text, keep=False) for place, text in texts.items()]
    return (*changes, *_removed(root, stale))


def remove_drop_ins(root: Path) -> tuple[Change, ...]:
    """Remove the files of all families below `root`, and the folder of drop-ins if nothing else is in it."""
    changes = _removed(root, [place for name in enabled(root) for place in places(name)])
    with suppress(OSError):
        (root / FOLDER).rmdir()
    return changes


def drop_in_states(root: Path, config: Path) -> tuple[tuple[str, FileStatus], ...]:
    """Return each file of the enabled families with its state against what an installation would write now."""
    try:
        texts = dict(file for each in files_for(root, config, ())[0] for file in each.files)
    except FamilyError:
        texts = {}
    found = [place for name in enabled(root) for place in places(name)]
    found = [place for place in found if place in texts or (root / place).exists()]
    return tuple((place, file_status(root / place, texts.get(place, ""))) for place in found)


def _removed(root: Path, gone: Iterable[str]) -> tuple[Change, ...]:
    changes = (remove(root / place) for place in gone)
    return tuple(change for change in changes if change)


def files_for(
    root: Path, config: Path, wanted: Sequence[str], resolve: Resolve | None = None
) -> tuple[tuple[FamilyFiles, ...], tuple[str, ...]]:
    """Return the files of the families that are enabled below `root` and of the `wanted` ones, and notes.

    `none` among the wanted ones leaves out those that are enabled. `config` is the file with the meters. A family that
    is enabled and cannot be any more is left out, with a note. Raises FamilyError for a wanted one.
    """
    known = {each.name: each.family for each in known_families() if each.family and each.family.needs_unit}
    kept = () if NONE in wanted else enabled(root)
    names = [name for name in wanted if name != NONE]
    for name in names:
        if name not in known:
            others = ", ".join(sorted(known))
            raise FamilyError(f"{name!r} cannot be enabled; these families need it: {others}, or none")
    meters = _meters(root, config)
    groups = _groups(root / "etc/group")
    found, notes = [], []
    for name in dict.fromkeys((*kept, *names)):
        if name not in known:
            notes.append(f"{name} is no longer enabled: there is no such family any more")
            continue
        try:
            found.append(files_of(known[name], meters, groups, resolve or resolved))
        except FamilyError as error:
            if name in names:
                raise FamilyError(f"{name}: {error}") from error
            notes.append(f"{name} is no longer enabled: {error}")
    return tuple(found), (*notes, *(note for each in found for note in each.notes))


def files_of(family: Family, meters: Iterable[MeterConfig], groups: frozenset[str], resolve: Resolve) -> FamilyFiles:
    """Return the files of one family. Raises FamilyError if no meter of it is configured, or has no address."""
    own = [meter for meter in meters if meter.kind in family.meter_kinds]
    if family.meter_kinds and not own:
        kinds = " or ".join(family.meter_kinds)
        raise FamilyError(f"no meter of kind {kinds} is configured for this host; add it to [[meters]] first")
    lines, notes = _addresses(own, resolve)
    needs = family.service
    here = not family.meter_kinds or any(meter.url == _LOCAL for meter in own)
    if here:
        lines += _unit_lines(needs, groups)
        notes += [f"{family.name}: {needs.risk}"] if needs.risk else []
    head = f"# {family.title}; `inferometer service install --enable {family.name}` wrote this file.\n"
    unit, rules, tmpfiles = places(family.name)
    files = [(unit, head + "[Service]\n" + "".join(f"{line}\n" for line in lines))]
    for place, content in ((rules, needs.rules), (tmpfiles, needs.tmpfiles)):
        if here and content:
            files.append((place, head + "".join(f"{line}\n" for line in content)))
    return FamilyFiles(family.name, tuple(files), tuple(notes))


def resolved(host: str) -> tuple[str, ...]:
    """Return the addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _unit_lines(needs: ServiceNeeds, groups: frozenset[str]) -> list[str]:
    here = [group for group in needs.groups if group in groups]
    settings: Mapping[str, Sequence[str]] = {
        "DeviceAllow": needs.devices,
        "SupplementaryGroups": here,
        "CapabilityBoundingSet": needs.capabilities,
        "AmbientCapabilities": needs.capabilities,
        "SystemCallFilter": needs.system_calls,
        "BindReadOnlyPaths": [f"-{path}" for path in needs.paths],
    }
    return [f"{key}={value}" for key, values in settings.items() for value in values]


def _addresses(meters: Iterable[MeterConfig], resolve: Resolve) -> tuple[list[str], list[str]]:
    """Return lines that allow the addresses of meters, and a note about each name. Raises FamilyError."""
    lines: list[str] = []
    notes = []
    for meter in meters:
        host = (urlsplit(meter.url).hostname or "").partition("%")[0]
        if meter.url == _LOCAL:
            continue
        with suppress(ValueError):
            lines += _allow([str(ipaddress.ip_address(host))])
            continue
        try:
            found = resolve(host)
        except OSError as error:
            raise FamilyError(
                f"the host {host} of the meter {meter.name} has no address ({error.strerror or error}); write its "
                "address into url, or the name into /etc/hosts"
            ) from error
        if allowed := _allow(found):
            lines += [f"# {host}", *allowed]
            notes.append(
                f"{host} is {', '.join(found)} now, and only that is allowed: install again after a change. The "
                "service resolves names through /etc/hosts or a resolver of this host, and reaches no other one"
            )
    return list(dict.fromkeys(lines)), notes


def _allow(addresses: Iterable[str]) -> list[str]:
    """Return the lines for addresses; those of this host are allowed already."""
    found = [ipaddress.ip_address(each.partition("%")[0]) for each in addresses]
    return [f"IPAddressAllow={each}" for each in found if not each.is_loopback]


def _meters(root: Path, config: Path) -> tuple[MeterConfig, ...]:
    """Return the meters of the host whose files are below `root`; all of them if that does not have its name."""
    try:
        found = load(config) if config.exists() else Config()
    except ConfigError as error:
        raise FamilyError(f"{error}; correct the configuration first") from error
    if root == Path("/"):
        return found.sensors.meters
    try:
        return meters_of_host(found.meters, (root / "etc/hostname").read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return found.meters


def _groups(file: Path) -> frozenset[str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.partition(":")[0] for line in lines)
