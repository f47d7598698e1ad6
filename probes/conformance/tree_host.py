"""A fake host whose sensors are small files, as the kernel's are."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.conformance.file_watch import FileWatch, accesses
from probes.conformance.host import FakeHost, Key, NotOfferedError
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from probes.model import Roots

GARBAGE = (b"", b"\n", b"garbage\n", b"\xff\xfe\x00\n", b"12 34\n", b"nan\n", b"0x\n", b"9" * 4096)
"""Contents that no sensor has."""
BLANKS = ("4294967295", "18446744073709551615")
"""All bits of a register set, of 32 and of 64 bits."""
_FAILING = "/proc/self/mem"  # a read at 0 fails with EIO, as if a device does not answer its driver


@dataclass(frozen=True, slots=True)
class FakeSensor:
    """One file with one integer, which it has already, and the channel that it feeds; `divisor` makes it SI units.

    A counter grows by `per_second` and starts again from 0 at `wraps_at` (0: never). A file that feeds its channel only
    together with another one has no `key`. `form` is the whole text, with `{}` for the integer.
    """

    path: Path
    key: Key | None
    divisor: float = 1e6
    per_second: int = 0
    wraps_at: int = 0
    form: str = "{}\n"


class TreeHost(FakeHost):
    """A host of files below `folder`: writes its sensors in place, so that open files show it too.

    `presence` are the paths whose absence means that the device is gone, `numbered` the links whose last number changes
    with a reboot, `statuses` their `power/runtime_status`. A read of a file that a probe holds open cannot be
    made to hang here.
    """

    blanks: Sequence[str] = BLANKS
    garbage: Sequence[bytes] = GARBAGE

    def __init__(
        self,
        folder: Path,
        roots: Roots,
        sensors: Sequence[FakeSensor],
        *,
        presence: Sequence[Path] = (),
        numbered: Sequence[Path] = (),
        statuses: Sequence[Path] = (),
        settings: SensorSettings = ALL_SENSORS,
    ) -> None:
        super().__init__(roots, settings)
        self._sensors = tuple(sensors)
        self._totals = {sensor.path: _number_in(sensor) for sensor in sensors}
        self._starts = dict.fromkeys(self._totals, 0)
        self._presence, self._numbered, self._statuses = tuple(presence), tuple(numbered), tuple(statuses)
        self._aside = folder / "aside"
        self._replaced: list[tuple[Path, Path]] = []
        self._held: list[tuple[int, int]] = []
        self._watch: FileWatch | None = None

    def truth(self) -> Mapping[Key, float]:
        """Return the values of the sensors that feed a channel alone."""
        return {sensor.key: self._totals[sensor.path] / sensor.divisor for sensor in self._sensors if sensor.key}

    def advance(self, seconds: float) -> None:
        """Let the counters grow."""
        for sensor in self._sensors:
            self._totals[sensor.path] += round(sensor.per_second * seconds)
        self._show()

    def approach_wrap(self) -> None:
        """Set the counters that wrap to half a step below their range."""
        for sensor in self._sensors:
            if sensor.wraps_at:
                shown = sensor.wraps_at - round(sensor.per_second * self.step_seconds / 2)
                self._starts[sensor.path] = self._totals[sensor.path] - shown
        self._show()

    def reset(self) -> None:
        """Start the counters again from 0."""
        self._restart()

    def blank(self) -> Iterator[str]:
        """Write each of `blanks` into all sensors."""
        if not self.blanks:
            raise NotOfferedError("blank")
        for text in self.blanks:
            for sensor in self._sensors:
                rewrite(sensor.path, sensor.form.format(text).encode())
            yield text

    def garble(self) -> Iterator[str]:
        """Write each of `garbage` into all sensors."""
        for content in self.garbage:
            for sensor in self._sensors:
                rewrite(sensor.path, content)
            yield repr(content[:20])

    def refuse(self) -> None:
        """Let every read of the sensors fail with EIO, also of open files."""
        self._break_open_files()
        for sensor in self._sensors:
            self._set_aside(sensor.path)
            sensor.path.symlink_to(_FAILING)

    def hang(self) -> None:
        """Replace the sensors by pipes: opening one waits for a writer."""
        if any(self._open_files()):
            raise NotOfferedError("hang, of a file that is open")
        for sensor in self._sensors:
            self._set_aside(sensor.path)
            os.mkfifo(sensor.path)

    def repair(self) -> None:
        """Restore the files, those that were open too, and their values."""
        for number, original in self._held:
            os.dup2(original, number, inheritable=False)
            os.close(original)
        self._held.clear()
        self._restore()
        self._show()

    def unplug(self) -> None:
        """Remove `presence`; files that are open fail with EIO."""
        if not self._presence:
            raise NotOfferedError("unplug")
        self._break_open_files()
        for path in self._presence:
            self._set_aside(path)

    def replug(self) -> None:
        """Restore `presence`, with the counters at 0."""
        self._restore()
        self._restart()

    def renumber(self) -> None:
        """Give the links of `numbered` other numbers, in the opposite order."""
        if not self._numbered:
            raise NotOfferedError("renumber")
        for place, link in enumerate(sorted(self._numbered, reverse=True)):
            renamed = link.with_name(re.sub(r"\d+$", str(len(self._numbered) + 50 + place), link.name))
            link.rename(renamed)
            self._follow(link, renamed)

    def suspend(self) -> None:
        """Write the state of suspended devices, and watch the sensors."""
        if not self._statuses:
            raise NotOfferedError("suspend")
        for status in self._statuses:
            rewrite(status, b"suspended\n")
        self._watch = accesses(sensor.path for sensor in self._sensors)

    def touched(self) -> Sequence[str]:
        """Return the sensors that were read since `suspend`."""
        return self._watch.events() if self._watch else ()

    def close(self) -> None:
        """Restore everything."""
        if self._watch:
            self._watch.close()
        for _, original in self._held:
            os.close(original)
        self._held.clear()
        self._restore()

    def _restart(self) -> None:
        self._starts |= {sensor.path: self._totals[sensor.path] for sensor in self._sensors if sensor.per_second}
        self._show()

    def _show(self) -> None:
        for sensor in self._sensors:
            number = self._totals[sensor.path] - self._starts[sensor.path]
            shown = number % sensor.wraps_at if sensor.wraps_at else number
            rewrite(sensor.path, sensor.form.format(shown).encode())

    def _follow(self, old: Path, new: Path) -> None:
        """Continue with the sensors below a folder that was renamed."""

        def moved(path: Path) -> Path:
            return new / path.relative_to(old) if path.is_relative_to(old) else path

        self._sensors = tuple(replace(sensor, path=moved(sensor.path)) for sensor in self._sensors)
        self._totals = {moved(path): total for path, total in self._totals.items()}
        self._starts = {moved(path): start for path, start in self._starts.items()}

    def _open_files(self) -> Iterator[int]:
        """Yield the descriptors of this process that show a sensor."""
        wanted = {(found.st_dev, found.st_ino) for found in (sensor.path.stat() for sensor in self._sensors)}
        for number in (int(path.name) for path in Path("/proc/self/fd").iterdir()):
            with suppress(OSError):
                found = os.fstat(number)
                if (found.st_dev, found.st_ino) in wanted:
                    yield number

    def _break_open_files(self) -> None:
        failing = os.open(_FAILING, os.O_RDONLY | os.O_CLOEXEC)
        for number in list(self._open_files()):
            self._held.append((number, os.dup(number)))
            os.dup2(failing, number, inheritable=False)
        os.close(failing)

    def _set_aside(self, path: Path) -> None:
        self._aside.mkdir(exist_ok=True)
        kept = self._aside / str(len(self._replaced))
        path.rename(kept)
        self._replaced.append((path, kept))

    def _restore(self) -> None:
        for path, kept in reversed(self._replaced):
            if path.is_fifo():
                with suppress(OSError):
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))  # ends the waits of readers
            path.unlink(missing_ok=True)
            kept.rename(path)
        self._replaced.clear()


def rewrite(path: Path, content: bytes) -> None:
    """Replace the content of a file in place, so that an open file shows it."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def _number_in(sensor: FakeSensor) -> int:
    pattern = re.sub(r"\\\{0?\\\}", r"(-?\\d+)", re.escape(sensor.form.strip()))
    found = re.search(pattern, sensor.path.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{sensor.path} does not have the form {sensor.form!r}, which its fake sensor states")
    return int(found[1])
