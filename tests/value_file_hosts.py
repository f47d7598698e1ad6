"""Fake hosts for families that read with `probes.sysfs.ValueFiles`: open files hang, or report a removed device."""

from __future__ import annotations

import errno
import os
import threading

from probes.conformance import TreeHost


class ValueFileHost(TreeHost):
    """A tree whose probes read through `_pread`, because an open file cannot be made to hang."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._answers = threading.Event()
        self._answers.set()
        self._gone = False
        self._attached = False

    def attach(self, probes):
        self._attached = bool(probes)
        for probe in probes:
            probe._files._pread = self._pread

    def _pread(self, fd, size, offset):
        assert self._answers.wait(60)
        if self._gone:
            raise OSError(errno.ENODEV, "No such device")
        return os.pread(fd, size, offset)

    def hang(self):
        if self._attached:
            self._answers.clear()
        else:
            super().hang()

    def repair(self):
        self._answers.set()
        super().repair()

    def unplug(self):
        super().unplug()
        self._gone = True

    def replug(self):
        self._gone = False
        super().replug()

    def close(self):
        self._answers.set()
        super().close()
