"""The stored records; every `_ns` is a Unix time in nanoseconds unless its docstring states otherwise."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.model import Channel, Reason, Rejection, Source


@dataclass(frozen=True, slots=True)
class Host:
    """The machine: `id` survives reboots, `boot_id` does not. `cpu_flags` are the kernel's feature flags.

    `labels` are the names and values of the configuration, such as `site`; the table of hosts does not have them.
    """

    id: str
    name: str
    boot_id: str = ""
    kernel: str = ""
    operating_system: str = ""
    cpu_model: str = ""
    microarchitecture: str = ""
    cpu_flags: tuple[str, ...] = ()
    cores: int = 0
    memory_bytes: int = 0
    virtual: bool = False
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of the channels in a probe's ticks; `id` is the store's."""

    id: int
    probe: str
    channels: tuple[Channel, ...]


class Tick(NamedTuple):
    """One read of one probe: `values` are its channels' values in the layout's order, NaN for a missing one.

    `start_ns` and `end_ns` are the moments before and after the read.
    """

    layout: int
    start_ns: int
    end_ns: int
    values: tuple[float, ...]
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class EnergySegment:
    """The energy of a part of a power gauge's series, in joules with its bound, instead of the samples.

    `highest` is the highest sample in watts, `largest_gap_seconds` the longest time between two samples.
    """

    start_ns: int
    end_ns: int
    joules: float
    lower: float
    upper: float
    highest: float
    samples: int
    largest_gap_seconds: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one channel in time order, without NaN.

    `times_ns` are the middles of the reads, `values` are in the channel's unit. `rejections` are the rejected readings
    of the same time range as (time, reason). `halves_ns` are half the lengths of the reads, rounded up: the sensor
    showed a value within this distance of its time; empty if reads take no time. `segments` follow one another without
    a gap, and replace samples that were dropped.
    """

    channel: Channel
    times_ns: Sequence[int]
    values: Sequence[float]
    rejections: tuple[tuple[int, Reason], ...] = ()
    halves_ns: Sequence[int] = ()
    segments: Sequence[EnergySegment] = ()


IMPORTER = "import"
"""The program of a recording whose samples come from another store; the id of its host begins with the same word."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One process that sampled a host; `id` is the store's, `program` its name, `boot_id` the boot of the host."""

    id: int
    host_id: str
    boot_id: str
    program: str
    process_id: int
    started_ns: int


@dataclass(frozen=True, slots=True)
class RecordingSpan:
    """The times of the first and of the last stored tick of a recording, which can have gaps between them."""

    recording: Recording
    first_ns: int
    last_ns: int


class Total(NamedTuple):
    """The accumulated value of a counter over restarts and reboots, in its metric's unit.

    `raw` is the hardware's own count at `at_ns`, in the same unit, in the boot `boot_id`; None if unknown.
    """

    host_id: str
    probe: str
    device: str
    domain: str
    metric: str
    source: Source
    boot_id: str
    raw: float | None
    total: float
    at_ns: int

    @property
    def key(self) -> tuple[str, ...]:
        """The probe's name and the channel's key."""
        return (self.probe, self.device, self.domain, self.metric, self.source)


@dataclass(frozen=True, slots=True)
class Rollup:
    """One minute of one channel in one recording: `minute` counts minutes of Unix time, values are in its unit.

    `energy_joules` is None for a metric other than energy or power, and without a previous sample to count from.
    """

    minute: int
    channel_id: int
    recording_id: int
    samples: int
    lowest: float
    highest: float
    mean: float
    energy_joules: float | None


ROLLUP_COLUMNS = tuple(field.name for field in fields(Rollup))


class RunStatus(StrEnum):
    """The progress of a run."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a workload over a sweep; `settings` is a JSON object of the requested settings.

    `recording` is the store's number of the process that sampled it.
    """

    id: str
    host_id: str
    recording: int
    workload: str
    settings: str
    status: RunStatus
    started_ns: int
    ended_ns: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a run, end excluded: one repeat of one phase of one point, or an idle baseline.

    `point` is the JSON object of its parameters (`{"batch":8}`), empty for an idle baseline. `phase` is `prefill`,
    `decode`, `inference`, `idle_unloaded` or `idle_loaded`. An idle baseline's `repeat` is 0 before the sweep, 1 after
    it. Counts are of the whole window. `latencies_seconds` has one entry per iteration, `step_seconds` one per token
    step if the phase has steps.

    A window of a load (phase `serving`) also has `requests_in_window`, its requests by the part of each that lies
    within the window, and `load`, the report of the client as JSON text; both None otherwise.
    """

    run_id: str
    point: str
    phase: str
    repeat: int
    start_ns: int
    end_ns: int
    iterations: int = 0
    inferences: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latencies_seconds: Sequence[float] = ()
    step_seconds: Sequence[float] = ()
    requests_in_window: float | None = None
    load: str | None = None

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def work(self) -> float:
        """The inferences that the window's energy and time are divided by."""
        return self.inferences if self.requests_in_window is None else self.requests_in_window


@dataclass(frozen=True, slots=True)
class Profile:
    """The result derived from a run: `document` is the JSON text of docs/profile.schema.json.

    `tag` is the user's name for it, unique among profiles. An `imported` profile comes from another store.
    """

    id: str
    run_id: str
    created_ns: int
    workload: str
    document: str
    tag: str | None = None
    imported: bool = False


class ProfileKey(NamedTuple):
    """The id, the host and the time of a stored profile; an `imported` one comes from another store."""

    id: str
    host_id: str
    created_ns: int
    imported: bool


@dataclass(frozen=True, slots=True)
class ServingHour:
    """One hour of the traffic of a model of an inference server; `hour` counts hours of Unix time.

    `basis` is `arrivals` if requests count when they were received, `served` if when they ended. `source` is the source
    of the energy. `bins` are the observed bins of ten seconds, `censored_bins` those in which requests waited or errors
    rose. A histogram is a JSON list of [upper limit of the rate per second, bins, censored bins]; the rate of tokens is
    that of output tokens, or of input tokens if the server has no others. The sums are over all intervals, observed in
    bins or not: `seconds` is the time that the counts cover, `duration` is in seconds, energies are in joules with
    bounds; None for a quantity that is unknown.
    """

    host_id: str
    server: str
    model: str
    hour: int
    basis: str
    source: str
    bins: int
    censored_bins: int
    requests_histogram: str
    tokens_histogram: str
    seconds: float | None = None
    requests: float | None = None
    errors: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    duration: float | None = None
    idle_joules: float | None = None
    idle_lower: float | None = None
    idle_upper: float | None = None
    attributed_joules: float | None = None
    attributed_lower: float | None = None
    attributed_upper: float | None = None


SERVING_HOUR_COLUMNS = tuple(field.name for field in fields(ServingHour))
