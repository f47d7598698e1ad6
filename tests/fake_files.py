"""Kernel files with answers that a test sets: values, or errors that a real file cannot return."""

from __future__ import annotations

import errno

from probes.sysfs import ValueFile
from trees import write

GONE, NOTHING_YET = OSError(errno.ENODEV, "No such device"), OSError(errno.EAGAIN, "Try again")
ASLEEP, FAILED = OSError(errno.ENXIO, "No such device or address"), OSError(errno.EIO, "Input/output error")


class FakeFiles:
    """`files` for a probe, `pread` to read them, and `now`: the current answer of each."""

    def __init__(self, folder, *first):
        self.now = list(first)
        self.files = [ValueFile(write(folder / f"file{number}", 1)) for number in range(len(first))]
        self._numbers = {file.fileno(): number for number, file in enumerate(self.files)}

    def pread(self, fd, _size, _offset):
        answer = self.now[self._numbers[fd]]
        if isinstance(answer, OSError):
            raise answer
        return f"{answer}\n".encode()
