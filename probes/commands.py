"""Runs the programs of vendors that print the readings of their devices."""

from __future__ import annotations

import math
import os
import selectors
import signal
import stat
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes import at_exit
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Problem, Rejection
from probes.polling import INTERVAL_SHARE
from probes.printed import Printed, checked
from probes.sysfs import RuntimeStatus
from probes.text import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from probes.model import Channel, Roots

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The folders that are searched for a program, after those that its vendor uses; only root can write to them."""
MOST_BYTES = 4 << 20
"""The largest output; a program that prints more is killed."""
CPU_SHARE = 0.05
"""The largest share of one CPU for the runs of a program."""
_CHUNK_BYTES = 65536
_POLL_SECONDS = 0.002
_WRITERS = stat.S_IWGRP | stat.S_IWOTH


def find(roots: Roots, name: str, *folders: str) -> Path:
    """Return the program `name` of the vendor's `folders`, else of `SEARCHED`; `roots.commands` replaces both.

    Raises ProbeUnavailableError if there is none. A program that others than root and this user may write to or
    replace is left out, because the service may run it with more rights than theirs.
    """
    searched = roots.commands.split(":") if roots.commands else [*folders, *SEARCHED.split(":")]
    unsafe = None
    for folder in searched:
        path = Path(folder) / name
        with suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and os.access(path, os.X_OK):
                if _is_safe(path, status):
                    return path
                unsafe = unsafe or path
    if unsafe:
        raise ProbeUnavailableError(
            f"other users may change {unsafe} or a folder of it, so it is not run",
            "let only root write to the program and to every folder above it: chown root, chmod go-w",
        )
    raise ProbeUnavailableError(f"the program {name} is not installed in {':'.join(searched)}")


def _is_safe(path: Path, status: os.stat_result) -> bool:
    """Return whether only root and this user may write to a program, and only they may replace it or a folder of it.

    The group of a folder may write to it (that of /usr/local is `staff`): its members are administrators.
    """
    trusted = {0, os.geteuid()}
    folders = {each: each.stat() for place in (path.absolute(), path.resolve()) for each in place.parents}
    return (
        status.st_uid in trusted
        and not status.st_mode & _WRITERS
        and all(
            each.st_uid in trusted and (not each.st_mode & stat.S_IWOTH or each.st_mode & stat.S_ISVTX)
            for each in folders.values()
        )
    )


class Program:
    """A program that prints readings; `seconds` is the time limit of each run.

    It runs in a session of its own, without a shell and without this process's environment, in the C locale.
    `cpu_seconds` is the CPU time of the longest of the last runs; each run before the last one counts half as much.
    """

    def __init__(self, path: Path, seconds: float, environment: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._seconds = seconds
        self._environment = {"PATH": SEARCHED, "LC_ALL": "C", **(environment or {})}
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.cpu_seconds = 0.0

    def run(self, *arguments: str) -> str:
        """Return the standard output; bytes that are not UTF-8 become U+FFFD.

        Raises ReadError if the program cannot be started, fails, prints more than `MOST_BYTES`, or does not end in
        time or before `close`. It is then killed with its children.
        """
        # Registered before the start, so that no moment is left in which the program runs and nothing ends it.
        registration = at_exit.register(self.close)
        try:
            child = self._start(arguments)
            try:
                output, errors = self._outputs(child)
            finally:
                self._running = None
                self._end(child)
        finally:
            at_exit.forget(registration)
        if child.returncode:
            said = decoded((errors or output).strip().rpartition(b"\n")[2])
            raise ReadError(f"{self.path} {' '.join(arguments)} ended with {child.returncode}: {said}")
        return output.decode(errors="replace")

    def close(self) -> None:
        """Kill the program if another thread runs it, and refuse further runs."""
        self._closed = True
        if child := self._running:
            _kill(child)

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            child = subprocess.Popen(
                (str(self.path), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ReadError(f"{self.path}: {error.strerror or error}") from error
        self._running = child
        return child

    def _outputs(self, child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        ends = time.monotonic() + self._seconds
        outputs = {child.stdout: bytearray(), child.stderr: bytearray()}
        with selectors.DefaultSelector() as selector:
            for pipe in outputs:
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            while selector.get_map():
                left = ends - time.monotonic()
                if self._closed:
                    raise ReadError(f"{self.path} was ended because its probe was closed")
                if left <= 0:
                    raise ReadError(f"{self.path} did not end within {self._seconds:g} s")
                for key, _ in selector.select(left):
                    if not (part := os.read(key.fd, _CHUNK_BYTES)):
                        selector.unregister(key.fileobj)
                    outputs[key.fileobj] += part  # type: ignore[index]
                if sum(map(len, outputs.values())) > MOST_BYTES:
                    raise ReadError(f"{self.path} printed more than {MOST_BYTES} bytes")
        while not self._reap(child, os.WNOHANG):
            if time.monotonic() >= ends:
                raise ReadError(f"{self.path} did not end within {self._seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return bytes(outputs[child.stdout]), bytes(outputs[child.stderr])

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Kill a program that still runs, reap it, and close its pipes."""
        _kill(child)
        if child.returncode is None:
            self._reap(child, 0)
        with child:
            pass

    def _reap(self, child: subprocess.Popen[bytes], options: int) -> bool:
        """Take the exit code and the CPU time of a program that has ended; return whether it has."""
        try:
            number, status, used = os.wait4(child.pid, options)
        except ChildProcessError:  # a parent process made this one ignore SIGCHLD, so the kernel drops exit codes
            child.returncode = 0
            return True
        if number:
            child.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = max(self.cpu_seconds / 2, used.ru_utime + used.ru_stime)
        return bool(number)


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:  # not reaped yet, so the number is still the child's
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def sleeping(sensor: str, program: str, devices: Sequence[str]) -> Problem:
    """Return the problem of devices that sleep at discovery, and that their program would wake."""
    reason = f"{', '.join(devices)} sleeps, and {program} would wake it"
    return Problem(sensor, reason, "use the device, and search again")


class CommandProbe:
    """The channels that one program prints; `parse` returns the values in SI units by their keys.

    The program runs at most every `interval_seconds`, and less often if it would use more than `CPU_SHARE` of a CPU. A
    read before that returns nothing new (`taken_ns` is None). It is not run while a device whose suspend state is in
    one of `runtime_statuses` sleeps, because it would wake it.
    """

    files_only = False

    def __init__(
        self,
        name: str,
        program: Program,
        arguments: Sequence[str],
        parse: Callable[[str], Mapping[Hashable, float | None]],
        printed: Sequence[Printed],
        interval_seconds: float,
        clock: Callable[[], int] = time.monotonic_ns,
        runtime_statuses: Sequence[Path | None] = (),
    ) -> None:
        self.name = name
        interval_seconds = max(interval_seconds, round(program.cpu_seconds / CPU_SHARE, 1))
        self.channels = tuple(_read_every(interval_seconds, each.channel) for each in printed)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._program, self._arguments, self._parse = program, tuple(arguments), parse
        self._printed = tuple(printed)
        self._interval_ns = round(interval_seconds * 1e9)
        self._next_ns = 0
        self._clock = clock
        self._statuses = tuple(map(RuntimeStatus, runtime_statuses))

    def read(self, at_ns: int) -> list[float]:
        """Run the program and return one value per channel; all NaN while a device is suspended.

        Raises ReadError if the program fails or prints none of the values.
        """
        self.taken_ns = None
        if any(status.is_suspended() for status in self._statuses):
            self.taken_ns = (at_ns, at_ns)
            return [math.nan] * len(self.channels)
        if at_ns < self._next_ns:
            return [math.nan] * len(self.channels)
        try:
            output = self._program.run(*self._arguments)
        finally:
            rest_ns = max(self._interval_ns, round(self._program.cpu_seconds / CPU_SHARE * 1e9))
            self._next_ns = at_ns + round(rest_ns * INTERVAL_SHARE)
        found = self._parse(output)
        self.taken_ns = (at_ns, max(at_ns, self._clock()))
        values = checked(self._printed, found, at_ns, self.rejections)
        if not any(each.key in found for each in self._printed):
            raise ReadError(f"{self._program.path} printed none of the {len(self.channels)} values of {self.name}")
        return values

    def close(self) -> None:
        """End the program, and close the files of the suspend states."""
        self._program.close()
        for status in self._statuses:
            status.close()


def _read_every(interval_seconds: float, channel: Channel) -> Channel:
    """Return a channel with the interval as its refresh if that is longer than the stated one."""
    if not 0 < channel.refresh_seconds < interval_seconds:
        return channel
    return replace(channel, refresh_seconds=interval_seconds)
