"""The vocabulary of all packages: devices, channels, probes and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Kind(StrEnum):
    """The category of a device, for grouping and for the `kind` label."""

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
    """The origin of a number, which accompanies it to every output."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


class MetricType(StrEnum):
    """The behavior of a metric: a counter only grows, a gauge goes both ways."""

    COUNTER = "counter"
    GAUGE = "gauge"


_UNITS = frozenset({"joules", "watts", "ratio", "hertz", "celsius", "bytes", "seconds"})


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity in base units; `name` is also its Prometheus name, without prefix and `_total`."""

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
    Metric("power_limit_watts", MetricType.GAUGE, "Power limit in force, in watts."),
    Metric("utilization_ratio", MetricType.GAUGE, "Busy share of the device, or of a unit of it, 0 to 1."),
    Metric("frequency_hertz", MetricType.GAUGE, "Clock frequency, in hertz."),
    Metric("temperature_celsius", MetricType.GAUGE, "Temperature, in degrees Celsius."),
    Metric("memory_used_bytes", MetricType.GAUGE, "Memory in use, in bytes."),
    Metric("memory_total_bytes", MetricType.GAUGE, "Memory installed, in bytes."),
    Metric(
        "idle_seconds",
        MetricType.COUNTER,
        "Time in the idle state that the domain names, the mean of the cores, in seconds.",
    ),
    Metric("cores", MetricType.GAUGE, "Number of processor cores online."),
    Metric(
        "throttle_reasons", MetricType.GAUGE, "Bit mask of the reasons for reduced clocks (nvmlClocksEventReasons)."
    ),
    Metric(
        "throttled_seconds",
        MetricType.COUNTER,
        "Time the clocks were reduced for power or thermal reasons, in seconds.",
    ),
    Metric("link_bytes", MetricType.COUNTER, "Bytes transferred over a link of the device, in one direction."),
)
TASK_COUNTER = "counter of tasks"
"""The method of an energy counter that stands still while all of its tasks rest; every other one always advances."""
ENERGY_METRICS = frozenset({"energy_joules", "power_watts"})
"""The metrics that measure energy, directly or as power over time."""


@dataclass(frozen=True, slots=True)
class Device:
    """One piece of hardware.

    `id` survives a reboot (GPU UUID, `package-0`, PCI address). `attributes` are further facts as ordered pairs
    (`driver`, `pci_address`, `cores`, ...).
    """

    id: str
    kind: Kind
    name: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Channel:
    """One (device, domain, metric) that a probe reads, with the properties of its sensor.

    `method` is the origin of the value: `counter`, `average`, `instant`, `volts*amperes`, `model`, ...
    `refresh_seconds` is the longest time between two new values of the sensor, `resolution` its smallest step in the
    metric's unit; 0 if unknown. `contained_in` lists the (device id, domain) pairs whose energy includes this one's.
    `max_plausible` is the largest plausible value (four times a power limit, say), or growth of a counter in one
    second; 0 if unknown. `uncertainty` is the
    stated relative half-width of an estimated value (0.5: plus or minus half); 0 for a measured one. `wraps_at` is the
    value at which the hardware's counter starts again from 0, in the metric's unit; 0 if it does not.

    Calibration measures the other properties; they are 0 without it, and for a sensor that did not change.
    `observed_refresh_seconds` is the median time between two changes. `read_seconds` is the cost of one read of the
    whole probe, or of its counters alone if the probe can read them alone. An `aliased` channel changes faster than it
    is polled, or averages over less than its period, so an unknown part of the energy is missed.
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
    """The reason for rejecting a reading; the value is the `reason` label of the rejected samples.

    `reset`: a counter started again. `backward`: it stepped back by less than a reset does. `wrap_unknown`: the
    previous reading is old enough for more than one wrap. `impossible`: more than the device can draw.
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
    """One rejected reading of a tick: the position of its channel in the probe, and the reason."""

    channel: int
    reason: Reason


class Probe(Protocol):
    """Reads the sensors of one device or one small group of them.

    `name` is the family, followed by the device if there are several (`rapl`, `hwmon/0000:03:00.0`). `channels` do not
    change after discovery. `read` appends to `rejections`, and its caller clears them. `files_only` states that `read`
    uses only kernel files, which answer in microseconds: no driver, no tool, no network.
    """

    name: str
    files_only: bool
    channels: tuple[Channel, ...]
    rejections: list[Rejection]

    def read(self, at_ns: int) -> Sequence[float]:
        """Return one float per channel, in order; NaN for a sensor without a value.

        `at_ns` is the time of the read on a monotonic clock; a probe has no clock of its own. Raises ReadError if the
        whole read failed and the next may work, DeviceLostError if nothing is left to read.
        """
        ...

    def close(self) -> None:
        """Release files and handles; `read` is not called afterwards."""
        ...


@runtime_checkable
class CounterReader(Probe, Protocol):
    """A probe that can read its energy counters alone, much faster than all of its sensors."""

    def read_counters(self, at_ns: int) -> Sequence[float]:
        """Return and raise what `read` does, with NaN for every channel that is not an energy counter."""
        ...


@runtime_checkable
class TimedProbe(Probe, Protocol):
    """A probe whose values were read earlier, such as by another host.

    `taken_ns` is the interval on the monotonic clock in which the values of the last `read` were taken, None if that
    read returned nothing new.
    """

    taken_ns: tuple[int, int] | None


class IsolatedFile(Protocol):
    """A file that did not answer and is left out of its probe's reads; `channels` are the positions that it feeds."""

    path: str
    channels: tuple[int, ...]

    def answers(self) -> bool:
        """Read the file without a deadline; return whether it answered quickly."""
        ...

    def restore(self) -> None:
        """Include the file in the reads of its probe again."""
        ...


@runtime_checkable
class IsolatableProbe(Probe, Protocol):
    """A probe of several files that can leave out one that hangs."""

    def isolate(self) -> IsolatedFile | None:
        """Leave out the file in which `read` hangs in another thread, and return it; None if no read is in progress.

        The hanging `read` raises ReadError when it ends, and changes nothing. The channels of the file are NaN
        meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """A sensor that cannot be read, or only with a restriction: its name, the cause and the remedy.

    `is_unreadable` is False for a sensor that works. `device` represents hardware without any readable sensor, so that
    a total can list it as missing.
    """

    sensor: str
    reason: str
    remedy: str
    is_unreadable: bool = True
    device: Channel | None = None

    @property
    def label(self) -> str:
        """The word that introduces the problem."""
        return "unreadable" if self.is_unreadable else "note"


@dataclass(frozen=True, slots=True)
class DiscoveryResult:
    """The result of one family's discovery: probes that passed one read, sensors that failed, exclusions in effect."""

    probes: tuple[Probe, ...] = ()
    problems: tuple[Problem, ...] = ()
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Roots:
    """The paths of the host's interfaces, which a container or a test can set.

    `nvml_library` is the path of libnvidia-ml; empty leaves the search to the dynamic linker. `libraries` is the folder
    of other vendors' libraries, `commands` the search path of their programs; both are empty for the usual ones.
    """

    sysfs: str = "/sys"
    procfs: str = "/proc"
    nvml_library: str = ""
    dev: str = "/dev"
    libraries: str = ""
    commands: str = ""
