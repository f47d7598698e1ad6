"""Runs neuron-monitor, which prints a report a second without end, and reads its reports.

Interface: AWS's user guide of neuron-monitor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.commands import SEARCHED
from probes.errors import ReadError
from probes.printed import json_in, quantity

if TYPE_CHECKING:
    from collections.abc import Hashable

PERIOD_SECONDS = 1.0
REMEDY = "install aws-neuronx-tools, and let this user open /dev/neuron*"
MOST_BYTES = 4 << 20
"""The largest report, and the most that one call reads."""
_CHUNK_BYTES = 1 << 16
_METRICS = [{"type": "neuroncore_counters"}, {"type": "memory_used"}]
_CONFIGURATION = {
    "period": f"{PERIOD_SECONDS:g}s",
    "neuron_runtimes": [{"tag_filter": ".*", "metrics": _METRICS}],
    "system_metrics": [],
}


class Monitor:
    """The running program; its configuration is in a private folder until it ends. Raises ReadError on construction."""

    def __init__(self, path: Path) -> None:
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - only hosts with such a device need it

        self._path = path
        self._folder = TemporaryDirectory(prefix="inferometer-neuron-")
        configuration = Path(self._folder.name) / "monitor.json"
        configuration.write_text(json.dumps(_CONFIGURATION), encoding="utf-8")
        self._text = b""
        try:
            self._child = subprocess.Popen(
                (str(path), "-c", str(configuration)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": SEARCHED, "LC_ALL": "C"},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise ReadError(f"{path}: {error.strerror or error}") from error
        os.set_blocking(self._output, False)

    def latest(self) -> str | None:
        """Return the last report since the previous call, None if there is none yet.

        Raises ReadError if the program ended, or prints a report of more than `MOST_BYTES`.
        """
        ended = False
        for _ in range(MOST_BYTES // _CHUNK_BYTES):
            try:
                part = os.read(self._output, _CHUNK_BYTES)
            except BlockingIOError:
                break
            if not part:
                ended = True
                break
            self._text += part
        *lines, self._text = self._text.split(b"\n")
        if len(self._text) > MOST_BYTES:
            raise ReadError(f"{self._path} printed more than {MOST_BYTES} bytes without a line end")
        if lines:
            return lines[-1].decode(errors="replace")
        if ended:
            raise ReadError(f"{self._path} ended with {self._child.wait()}")
        return None

    def close(self) -> None:
        """End the program and its children; safe to call twice."""
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
        with self._child:
            pass
        self._folder.cleanup()

    @property
    def _output(self) -> int:
        assert self._child.stdout is not None  # noqa: S101 - a pipe was requested
        return self._child.stdout.fileno()


def parse(report: str) -> dict[Hashable, float | None]:
    """Return the utilization of each core in use by its number, and `used` and `total` memory in bytes.

    A core that no program uses is left out, like every section that is null. Raises ReadError if the report is no JSON.
    """
    document = json_in(report)
    values: dict[Hashable, float | None] = {}
    used: list[float] = []
    for runtime in _list(_at(document, "neuron_runtime_data")):
        for number, core in _at_dict(runtime, "report", "neuroncore_counters", "neuroncores_in_use").items():
            if number.isascii() and number.isdigit():
                values[int(number)] = quantity(_at(core, "neuroncore_utilization"), "%")
        bytes_used = _at(runtime, "report", "memory_used", "neuron_runtime_used_bytes", "neuron_device")
        used += [known] if (known := quantity(bytes_used, "B")) is not None else []
    if used:
        values["used"] = sum(used)
    values["total"] = quantity(_at(document, "neuron_hardware_info", "neuron_device_memory_size"), "B")
    return values


def _at(value: object, *names: str) -> Any:
    """Return what is at a path of names, None if a part of the path is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _at_dict(value: object, *names: str) -> dict[str, Any]:
    found = _at(value, *names)
    return found if isinstance(found, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
