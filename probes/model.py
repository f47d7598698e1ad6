"""The ground everything stands on: what a device, a channel and a probe are, and which metrics exist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """What a device is, for grouping and for the `kind` label."""

    HOST = "host"
    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"
    NPU = "npu"
    FPGA = "fpga"
    ACCELERATOR = "accelerator"
    PSU = "psu"
    BOARD = "board"


class Source(StrEnum):
    """Where a number comes from; it travels with the number to the end."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


class MetricType(StrEnum):
    """How a metric moves: a counter only grows, a gauge goes both ways."""

    COUNTER = "counter"
    GAUGE = "gauge"


_UNITS = frozenset({"joules", "watts", "ratio", "hertz", "celsius", "bytes", "seconds"})


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity in base units; `name` is also the Prometheus name without prefix and `_total`."""

    name: str
    type: MetricType
    help: str


def unit_of(metric: str) -> str:
    """Return the base unit at the end of a metric's name (`joules`), empty for a plain number."""
    last_word = metric.rpartition("_")[2]
    return last_word if last_word in _UNITS else ""


def _table(*metrics: Metric) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS: Mapping[str, Metric] = _table(
    Metric("energy_joules", MetricType.COUNTER, "Energy since the sensor's own start, unwrapped, in joules."),
    Metric("power_watts", MetricType.GAUGE, "Power drawn now or over the sensor's own averaging time, in watts."),
    Metric("power_limit_watts", MetricType.GAUGE, "Power limit the device is held to, in watts."),
    Metric("utilization_ratio", MetricType.GAUGE, "Share of time the device was busy since the previous read, 0 to 1."),
    Metric("frequency_hertz", MetricType.GAUGE, "Clock frequency, in hertz."),
    Metric("temperature_celsius", MetricType.GAUGE, "Temperature, in degrees Celsius."),
    Metric("memory_used_bytes", MetricType.GAUGE, "Memory in use, in bytes."),
    Metric("memory_total_bytes", MetricType.GAUGE, "Memory installed, in bytes."),
    Metric("cores", MetricType.GAUGE, "Number of processor cores online."),
    Metric("throttle_reasons", MetricType.GAUGE, "Bit mask of what holds the clocks down, as the driver names it."),
    Metric("throttled_seconds", MetricType.COUNTER, "Time the clocks were held down by power or heat, in seconds."),
)
ENERGY_METRICS = frozenset({"energy_joules", "power_watts"})
"""The metrics that tell energy."""


@dataclass(frozen=True, slots=True)
class Device:
    """One piece of hardware.

    `id` is stable over a reboot (GPU UUID, `package-0`, PCI address). `attributes` are what is known of it beside its
    name, as ordered pairs (`driver`, `pci_address`, `cores`, ...).
    """

    id: str
    kind: Kind
    name: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One (device, domain, metric) a probe reads, with what is known of its sensor.

    `method` says how the number comes to be: `counter`, `average`, `instant`, `volts*amperes`, `model`, ...
    `refresh_seconds` is the longest time the sensor takes to show a new value (0: unknown), `resolution` its smallest
    step in the metric's unit (0: unknown). `contained_in` names the (device id, domain) pairs whose energy includes
    this one's. `max_plausible` is the largest plausible value (four times a power limit, say); 0 where none is known.
    `uncertainty` is the stated relative half-width of an estimated value (0.5: plus or minus half); 0 for measured.
    `wraps_at` is where the hardware's counter starts again from 0, in the metric's unit; 0 if it does not.

    What was learnt of the sensor by watching it, 0 where it was not watched or did not move: `observed_refresh_seconds`
    is the median time between two changes, `read_seconds` what one read of its whole probe costs, or of its counters
    alone for an energy counter of a probe that can do that. `aliased` says that
    it changes faster than it is polled, or averages over less than it passes, so that what it misses is unknown.
    """

    device: Device
    domain: str
    metric: str
    source: Source = Source.MEASURED
    method: str = ""
    refresh_seconds: float = 0.0
    resolution: float = 0.0
    contained_in: tuple[tuple[str, str], ...] = ()
    max_plausible: float = 0.0
    uncertainty: float = 0.0
    wraps_at: float = 0.0
    observed_refresh_seconds: float = 0.0
    read_seconds: float = 0.0
    aliased: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The identity of this channel on its host: (device id, domain, metric, source)."""
        return (self.device.id, self.domain, self.metric, self.source.value)

    @property
    def place(self) -> tuple[str, str]:
        """The part of the hardware that the channel measures: (device id, domain)."""
        return (self.device.id, self.domain)

    @property
    def path(self) -> str:
        """The place as users read and write it: `device/domain`."""
        return "/".join(self.place)


class Reason(StrEnum):
    """Why a reading was refused; the value is the `reason` label of the rejected samples.

    `reset`: a counter started anew. `backward`: it stepped back by less than a reset does. `wrap_unknown`: so long
    after the reading before that it may have wrapped more than once. `impossible`: more than the device can draw.
    """

    READ_ERROR = "read_error"
    RESET = "reset"
    BACKWARD = "backward"
    WRAP_UNKNOWN = "wrap_unknown"
    SENTINEL = "sentinel"
    IMPOSSIBLE = "impossible"
    DEVICE_LOST = "device_lost"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One reading of a tick that was refused: the position of its channel in the probe, and why."""

    channel: int
    reason: Reason


class Probe(Protocol):
    """Reads the sensors of one device or one small group of them.

    `name` is the family, and the device where there are several (`rapl`, `hwmon/0000:03:00.0`). `channels` never
    changes after discovery. `rejections` is filled by `read` and emptied by whoever calls it. `files_only` says that
    `read` asks nothing but files of the kernel, which answer in microseconds: no driver, no tool, no network.
    """

    name: str
    files_only: bool
    channels: tuple[Channel, ...]
    rejections: list[Rejection]

    def read(self, at_ns: int) -> Sequence[float]:
        """Return one float per channel, in order; NaN where the sensor gave nothing this time.

        `at_ns` is the moment of the read on a monotonic clock, handed in because a probe has no clock of its own.
        Raises ReadError if the whole read failed and the next may work, DeviceLostError if nothing is left to read.
        """
        ...

    def close(self) -> None:
        """Release files and handles; `read` is not called afterwards."""
        ...


@runtime_checkable
class CounterReader(Probe, Protocol):
    """A probe that can read its energy counters alone, for much less than a whole read takes."""

    def read_counters(self, at_ns: int) -> Sequence[float]:
        """Return and raise what `read` does, with NaN for every channel that is no energy counter."""
        ...


class IsolatedFile(Protocol):
    """A file that did not answer and is left out of its probe's reads; `channels` are the positions that it feeds."""

    path: str
    channels: tuple[int, ...]

    def answers(self) -> bool:
        """Read the file, however long that takes; return whether it answered quickly."""
        ...

    def restore(self) -> None:
        """Read the file with the others again."""
        ...


@runtime_checkable
class IsolatableProbe(Probe, Protocol):
    """A probe of several files that can leave out one that hangs."""

    def isolate(self) -> IsolatedFile | None:
        """Leave out the file in which `read` hangs in another thread, and return it; None if no read is under way.

        That `read` raises ReadError when it ends, and changes nothing. The channels of the file are NaN meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """A sensor that exists but cannot be read, or only with a restriction: its name, the cause and the remedy.

    `is_unreadable` is False for a sensor that works. `device` stands for hardware without any readable sensor, so that
    a total can name it as missing.
    """

    sensor: str
    reason: str
    remedy: str
    is_unreadable: bool = True
    device: Channel | None = None

    @property
    def label(self) -> str:
        """The words that introduce the problem."""
        return "unreadable" if self.is_unreadable else "note"


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """The result of one family's discovery: probes that passed one read, sensors that failed, exclusions in effect."""

    probes: tuple[Probe, ...] = ()
    problems: tuple[Problem, ...] = ()
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the host's interfaces are mounted, so that a container or a test can point them elsewhere.

    `nvml_library` is the path of libnvidia-ml; empty lets the dynamic linker find it.
    """

    sysfs: str = "/sys"
    procfs: str = "/proc"
    nvml_library: str = ""
