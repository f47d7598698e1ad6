"""Finds Google TPUs, and reads their load from the metrics of the TPU runtime.

A program that uses the TPU serves the metrics on loopback; without one nothing listens, which is no error. No interface
on a TPU machine shows power or energy. Interface: Google's documents of libtpu's runtime metrics.
"""

from __future__ import annotations

import math
import os
import time
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Rejection, Roots
from probes.polling import INTERVAL_SHARE
from probes.printed import Printed, checked
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_int
from probes.tpu.messages import gauges, request

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

REMEDY = "pip install 'inferometer[tpu]'"
INTERVAL_SECONDS = 1.0
SECONDS = 2.0
"""The time limit of one call."""
DEFAULT_PORT = 8431
PORTS_VARIABLE = "TPU_RUNTIME_METRICS_PORTS"
_METHOD = "/tpu.monitoring.runtime.RuntimeMetricService/GetRuntimeMetric"
_METRICS: Mapping[str, float] = {
    "tpu.runtime.tensorcore.dutycycle.percent": 0.01,
    "tpu.runtime.hbm.memory.usage.bytes": 1.0,
    "tpu.runtime.hbm.memory.total.bytes": 1.0,
}
_VENDOR = 0x1AE0
_MODELS: Mapping[int, tuple[str, int]] = {
    0x0027: ("TPU v3", 2),
    0x005E: ("TPU v4", 1),
    0x0062: ("TPU v5p", 1),
    0x0063: ("TPU v5e", 1),
    0x006F: ("TPU v6e", 1),
    0x0076: ("TPU v7x", 2),
}
"""The name of each model and the number of its devices in the runtime: the cores of v2, v3 and v7x are devices."""
_NO_POWER = "Google shows no power of this device"
_NO_POWER_REMEDY = "compare by the price of the machine: `--price-per-hour`; the energy of the host is incomplete"


class Runtime(Protocol):
    """The metrics of the runtimes on this host."""

    def ask(self, metric: str) -> list[bytes]:
        """Return the reply of each runtime that is in use. Raises ReadError."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class GrpcRuntime:
    """The runtimes behind some ports of loopback. Raises ProbeUnavailableError if gRPC is not installed."""

    def __init__(self, ports: Sequence[int]) -> None:
        try:
            import grpc  # noqa: PLC0415 - slow, and only on hosts with a TPU
        except ImportError as error:
            raise ProbeUnavailableError("gRPC for Python is not installed", REMEDY) from error
        self._grpc: Any = grpc
        direct = (("grpc.enable_http_proxy", 0),)
        self._channels = [grpc.insecure_channel(f"localhost:{port}", options=direct) for port in ports]
        self._calls = [channel.unary_unary(_METHOD) for channel in self._channels]

    def ask(self, metric: str) -> list[bytes]:
        """Return the reply of each runtime; one that does not listen is left out."""
        replies = []
        for call in self._calls:
            try:
                replies.append(bytes(call(request(metric), timeout=SECONDS)))
            except self._grpc.RpcError as error:
                if error.code() is not self._grpc.StatusCode.UNAVAILABLE:
                    raise ReadError(f"the TPU runtime refuses {metric}: {error.details()}") from error
        return replies

    def close(self) -> None:
        """Close every connection."""
        for channel in self._channels:
            channel.close()


class TpuProbe:
    """The load of all devices; a read without a runtime in use returns nothing new (`taken_ns` is None)."""

    name = "tpu"
    files_only = False

    def __init__(
        self, runtime: Runtime, printed: Sequence[Printed], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.channels = tuple(each.channel for each in printed)
        self.rejections: list[Rejection] = []
        self.taken_ns: tuple[int, int] | None = None
        self._runtime, self._printed, self._clock = runtime, tuple(printed), clock
        self._next_ns = 0

    def read(self, at_ns: int) -> list[float]:
        """Ask the runtimes at most once a second, and return one value per channel. Raises ReadError."""
        self.taken_ns = None
        if at_ns < self._next_ns:
            return [math.nan] * len(self.channels)
        self._next_ns = at_ns + round(INTERVAL_SECONDS * INTERVAL_SHARE * 1e9)
        found: dict[Hashable, float] = {}
        for metric, factor in _METRICS.items():
            for reply in self._runtime.ask(metric):
                found |= parse(reply, metric, factor)
        if not found:
            return [math.nan] * len(self.channels)
        self.taken_ns = (at_ns, max(at_ns, self._clock()))
        return checked(self._printed, found, at_ns, self.rejections)

    def close(self) -> None:
        """Close the connections."""
        self._runtime.close()


def parse(reply: bytes, metric: str, factor: float) -> dict[Hashable, float]:
    """Return the values of a reply by (metric, device), times `factor`. Raises ReadError."""
    try:
        return {(metric, device): value * factor for device, value in gauges(reply).items()}
    except ValueError as error:
        raise ReadError(f"the reply of the TPU runtime is damaged: {error}") from error


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the TPUs on the PCI bus, and connect to their runtimes."""
    devices = list(_devices(Path(roots.sysfs)))
    if not devices:
        raise ProbeUnavailableError(f"no Google TPU below {roots.sysfs}/bus/pci/devices")
    kept, excluded = settings.select("tpu", list(_described(devices)), attrgetter("channel"))
    if not kept:
        return DiscoveryResult(excluded=excluded)
    left = {each.channel.device for each in kept}
    problems = tuple(_without_power(device) for device in devices if device in left)
    try:
        runtime = GrpcRuntime(_ports(os.environ.get(PORTS_VARIABLE, "")))
    except ProbeUnavailableError as error:
        return DiscoveryResult((), (*problems, Problem("tpu/runtime", error.reason, error.remedy)), excluded)
    return DiscoveryResult((TpuProbe(runtime, kept),), problems, excluded)


def _devices(sysfs: Path) -> Iterator[Device]:
    """Yield the devices of the runtimes, one or two a chip, numbered in the order of the bus.

    The runtimes do not show the address behind their numbers.
    """
    for folder in sorted((sysfs / "bus/pci/devices").glob("*:*:*.*")):
        model = read_int(folder / "device") or 0
        if read_int(folder / "vendor") != _VENDOR or model not in _MODELS:
            continue
        name, count = _MODELS[model]
        for core in range(count):
            address = folder.name.lower()
            device_id = f"{address}-{core}" if core else address
            yield Device(device_id, Kind.ACCELERATOR, name, (("driver", "tpu"), ("pci_address", address)))


def _described(devices: Sequence[Device]) -> Iterator[Printed]:
    busy, used, total = _METRICS
    for number, device in enumerate(devices):
        refresh = INTERVAL_SECONDS
        channel = Channel(device, "card", "utilization_ratio", method="duty cycle", refresh_seconds=refresh)
        yield Printed(channel, (busy, number))
        yield Printed(Channel(device, "memory", "memory_used_bytes"), (used, number))
        yield Printed(Channel(device, "memory", "memory_total_bytes"), (total, number))


def _ports(text: str) -> list[int]:
    """Return the ports in the runtime's own variable (`8431,8432`), else its default."""
    ports = [int(part) for part in text.split(",") if part.strip().isdecimal()]
    return [port for port in ports if 0 < port < 1 << 16] or [DEFAULT_PORT]


def _without_power(device: Device) -> Problem:
    stand_in = Channel(device, "card", "utilization_ratio")
    return Problem(f"tpu/{device.id}", _NO_POWER, _NO_POWER_REMEDY, is_unreadable=False, device=stand_in)
