"""Families of sensors of other installed packages: entry points of the group `inferometer.probes`.

The name of an entry point is the name of the family, and its value a module with `FAMILY` and `discover`, as the
modules of this package have.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.deadline import NoAnswerError, within
from probes.family import Family
from probes.model import DiscoveryResult, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from importlib.metadata import EntryPoint

    from probes.model import Roots
    from probes.settings import SensorSettings

GROUP = "inferometer.probes"
LOAD_SECONDS = 5.0
"""The longest import of a module of another package when families are listed."""


class PackageError(Exception):
    """A module of another package cannot be imported or does not have the required form."""


@dataclass(frozen=True, slots=True)
class KnownFamily:
    """A family by its name: its description, None with the reason if it cannot be loaded; its package if not ours."""

    name: str
    family: Family | None
    package: str = ""
    reason: str = ""


def entry_points(taken: Collection[str]) -> tuple[dict[str, EntryPoint], list[Problem]]:
    """Return the entry points by name, sorted, and a note for each whose name is `taken` or occurs twice."""
    if not _is_announced():
        return {}, []
    from importlib.metadata import entry_points as installed  # noqa: PLC0415  20 ms that few hosts should pay

    found: dict[str, EntryPoint] = {}
    notes = []
    for point in sorted(installed(group=GROUP), key=lambda each: (each.name, package_of(each))):
        if point.name in taken or point.name in found:
            reason = f"the package {package_of(point)} has a family of the same name, which is left out"
            notes.append(Problem(point.name, reason, f"remove {package_of(point)}, or rename its family", False))
        else:
            found[point.name] = point
    return found, notes


def _is_announced() -> bool:
    """Return whether the metadata of an installed package name the group, in the form that pip and setuptools write."""
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info")) and _names_the_group(entry.path):
                    return True
    return False


def _names_the_group(folder: str) -> bool:
    try:
        with open(os.path.join(folder, "entry_points.txt"), "rb") as file:  # noqa: PTH118, PTH123  of a hundred folders
            return b"[%s]" % GROUP.encode() in file.read()
    except OSError:
        return False


def package_of(point: EntryPoint) -> str:
    """Return the name of the package of an entry point."""
    return point.dist.name if point.dist else point.module


def load(point: EntryPoint) -> Any:
    """Import the module of a family. Raises PackageError if that fails or the module has not the required form."""
    try:
        module = point.load()
    except (Exception, SystemExit) as error:  # the code of another package, which can fail in any way
        raise PackageError(f"{point.value} cannot be loaded: {type(error).__name__}: {error}") from error
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, Family) or not callable(getattr(module, "discover", None)):
        raise PackageError(f"{point.value} lacks `FAMILY`, a Family, or `discover(roots, settings)`")
    if family.name != point.name:
        raise PackageError(f"{point.value} calls itself {family.name!r}, its entry point {point.name!r}")
    return module


def discover(point: EntryPoint, roots: Roots, settings: SensorSettings) -> DiscoveryResult:
    """Return the sensors of a family. Raises PackageError for a fault of its form, and the errors of its discovery."""
    try:
        found = load(point).discover(roots, settings)
    except SystemExit as error:  # would end only the thread of this discovery, which others wait for
        raise PackageError(f"discover of {point.value} ended the program with {error.code!r}") from error
    if not isinstance(found, DiscoveryResult):
        raise PackageError(f"discover of {point.value} returned {type(found).__name__}, not a DiscoveryResult")
    for probe in found.probes:
        if probe.name.partition("/")[0] != point.name:
            raise PackageError(f"the probe {probe.name!r} must be named {point.name!r} or begin with '{point.name}/'")
    return found


def describe(points: Mapping[str, EntryPoint]) -> list[KnownFamily]:
    """Return the descriptions of all families; one whose module fails or hangs has the reason instead."""
    known = []
    for name, point in points.items():
        package = package_of(point)
        try:
            module = within(LOAD_SECONDS, lambda point=point: load(point), f"load-{name}")  # type: ignore[misc]
        except PackageError as error:
            known.append(KnownFamily(name, None, package, str(error)))
        except NoAnswerError:
            reason = f"{point.value} was not imported within {LOAD_SECONDS:g} s"
            known.append(KnownFamily(name, None, package, reason))
        else:
            known.append(KnownFamily(name, module.FAMILY, package))
    return known
