"""Clocks of a process that a test sets while it runs: a small preloaded library adds to the kernel's clocks.

library = fake_clock.build(tmp_path)          # skips the test if gcc is missing
with running(home, **library.variables()): ...
library.move(wall_seconds=3600)               # set by an administrator
library.move(wall_seconds=600, asleep_seconds=600)   # after a sleep of the host
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static int (*kernel)(clockid_t, struct timespec *);
static volatile long long *seconds; /* what to add to CLOCK_REALTIME, and to CLOCK_BOOTTIME */

__attribute__((constructor)) static void start(void)
{
    kernel = dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(getenv("FAKE_CLOCK"), O_RDONLY | O_CLOEXEC);
    seconds = mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t clock, struct timespec *moment)
{
    if (!kernel)
        start();
    int failure = kernel(clock, moment);
    if (!failure && clock == CLOCK_REALTIME)
        moment->tv_sec += seconds[0];
    if (!failure && clock == CLOCK_BOOTTIME)
        moment->tv_sec += seconds[1];
    return failure;
}
"""


@dataclass(frozen=True)
class FakeClock:
    """The library, and the file with the seconds that it adds."""

    library: Path
    file: Path

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a process with these clocks."""
        return {"LD_PRELOAD": str(self.library), "FAKE_CLOCK": str(self.file)}

    def move(self, wall_seconds: int = 0, asleep_seconds: int = 0) -> None:
        """Set the offsets of the wall clock and the boot clock from the kernel's, in seconds."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("<qq", wall_seconds, asleep_seconds))


def build(folder: Path) -> FakeClock:
    """Build the library in a folder, without offsets."""
    compiler = shutil.which("gcc") or pytest.skip("gcc is not installed")
    source, clock = folder / "fake_clock.c", FakeClock(folder / "fake_clock.so", folder / "clock")
    source.write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", clock.library, source, "-ldl"], check=True)
    clock.file.write_bytes(bytes(16))
    return clock
