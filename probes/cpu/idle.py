"""Measures the time that the cores of a package spend in each idle state (C-state), from cpuidle.

Interface: the kernel's Documentation/ABI/testing/sysfs-devices-system-cpu. The time is that in the state that the
kernel requested; the hardware may have entered a shallower one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from probes.cpu.utilization import cpu_folder, sampled_cores
from probes.errors import ReadError
from probes.sysfs import ValueFile, read_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from probes.cpu.utilization import Package

State = tuple[int, str]
"""The number of a package and the domain of an idle state, such as (0, "core-c6")."""
MOST_STATES = 16
"""The number of states of a core that are read."""


class IdleStates:
    """Seconds in each idle state, the mean of the sampled cores of a package; a time never falls."""

    def __init__(self, sysfs: Path, packages: Sequence[Package]) -> None:
        self._sysfs = sysfs
        self._files: dict[State, list[ValueFile]] = {}
        self._last: dict[ValueFile, int] = {}
        self._microseconds: dict[State, float] = {}
        self.follow(packages)

    def follow(self, packages: Sequence[Package]) -> None:
        """Read the cores that are online now from here on; the time until the next read is not counted."""
        self.close()
        found: dict[State, list[ValueFile]] = defaultdict(list)
        for package in packages:
            for cpu in sampled_cores(package):
                for folder in _states(cpu_folder(self._sysfs, cpu) / "cpuidle"):
                    with suppress(OSError):
                        found[package.number, _domain(folder)].append(ValueFile(folder / "time"))
        self._files = dict(found)

    def seconds(self) -> dict[State, float]:
        """Return the time in each state, without the states whose files cannot be read."""
        return {
            state: total for state, files in self._files.items() if (total := self._advance(state, files)) is not None
        }

    def close(self) -> None:
        """Close every file; safe to call twice."""
        for files in self._files.values():
            for file in files:
                file.close()
        self._files, self._last = {}, {}

    def _advance(self, state: State, files: Sequence[ValueFile]) -> float | None:
        now = {}
        for file in files:
            with suppress(ReadError):  # a core that just went offline; the others still report
                now[file] = file.read()
        if not now:
            return None
        steps = [max(time - self._last[file], 0) for file, time in now.items() if file in self._last]
        start = sum(now.values()) / len(now)
        grown = sum(steps) / len(steps) if steps else 0.0
        self._microseconds[state] = self._microseconds.get(state, start) + grown
        self._last |= now
        return self._microseconds[state] / 1e6


def _states(cpuidle: Path) -> list[Path]:
    """Return the folders of a core's states, the shallowest first."""
    folders = [path for path in cpuidle.glob("state*") if re.fullmatch(r"state\d{1,3}", path.name)]
    return sorted(folders, key=lambda path: int(path.name.removeprefix("state")))[:MOST_STATES]


def _domain(folder: Path) -> str:
    """Return the domain of a state by its name, such as "core-c6" or "core-poll"."""
    return "core-" + re.sub(r"[\s/]+", "-", read_label(folder / "name").lower() or folder.name)
