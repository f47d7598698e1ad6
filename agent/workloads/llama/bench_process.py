"""The process of llama-bench: its output as lines, as they are written."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Self

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LONGEST_LINE = 1 << 16
_SECRETS = ("HF_TOKEN",)
"""Variables with which llama.cpp would download models."""


class BenchProcess:
    """A running llama-bench; it ends with the `with` block, and with this process at the latest."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: text for name, text in os.environ.items() if name not in _SECRETS}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  this process has no threads
            )
        except OSError as error:
            raise WorkloadError(
                f"llama-bench cannot be started: {error.strerror}", "check the program that --program names"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def lines(self) -> Iterator[str]:
        """Yield each line of both outputs as soon as it is written; a longer one than 64 KiB in parts."""
        pipe = self._process.stdout
        while pipe is not None and (line := pipe.readline(_LONGEST_LINE)):
            yield line.decode("utf-8", "replace")

    def wait(self) -> int:
        """Return the exit status, after the end of the output."""
        return self._process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
