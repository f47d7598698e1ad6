"""A server that this run starts and ends: `--server-command`."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2)
_STOP_SECONDS = 3.0
_TAIL_BYTES = 2048
_READ_BYTES = 1 << 16
_SECRETS = ("OPENAI_API_KEY",)


class ServerProcess:
    """The running server. It ends with this process at the latest; only the end of its output is stored."""

    def __init__(self, command: Sequence[str]) -> None:
        self._name = command[0]
        environment = {name: text for name, text in os.environ.items() if name not in _SECRETS}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  this process has no threads yet
            )
        except OSError as error:
            raise WorkloadError(
                f"--server-command: {self._name} cannot be started ({error.strerror})",
                "give the path of the program; the command runs without a shell",
            ) from error
        self._tail = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise WorkloadError if the server has ended."""
        code = self._process.poll()
        if code is None:
            return
        self._reader.join(1.0)
        lines = [printable_line(each) for each in self._tail.decode(errors="replace").splitlines()[-5:]]
        end = f"the end of its output: {' | '.join(lines)}" if lines else "it printed nothing"
        raise WorkloadError(f"--server-command: {self._name} ended with exit status {code}", end)

    def stop(self) -> None:
        """End the server with SIGTERM, after three seconds with SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(1.0)

    def _read(self) -> None:
        pipe = self._process.stdout
        while pipe is not None and (read := os.read(pipe.fileno(), _READ_BYTES)):
            self._tail = (self._tail + read)[-_TAIL_BYTES:]
        if pipe is not None:
            pipe.close()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
