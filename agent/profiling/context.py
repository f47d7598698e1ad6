"""The records of a run: the request, the host it takes place on, and its results."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from agent.host.settings import read_host_settings
from agent.profiling.unstored import unstored_samples
from agent.runtime.logs import get_logger
from agent.workloads.limits import Limits
from agent.workloads.point import points_of
from store.reader import Reader
from store.records import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from agent.cost.tariff import Tariff
    from agent.host.records import HostLoad, HostSettings, WindowKey
    from agent.host.server import Server
    from agent.profiling.plan import MeasurementPlan
    from agent.profiling.run_facts import HostState
    from agent.profiling.serving_records import ServiceLevel, SustainableRate
    from agent.runtime.clock import Timebase
    from agent.sampling.facts import SamplingConditions
    from agent.sampling.remote.probe import RemoteHost
    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.errors import WorkloadError
    from agent.workloads.model_record import LoadedModel
    from agent.workloads.point import Axes, Point
    from agent.workloads.runner.protocol import Ready
    from agent.workloads.work import Work
    from probes.model import Channel, Roots
    from probes.registry import Discovery
    from store.damage import Damage
    from store.records import Host, Layout, Run, Tick, Window
    from store.writer import Writer

_READ_CHUNK_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """A requested profile: the workload, the values of each swept parameter, the plan and the prices.

    `order_seed` is the seed of the order in which the points are measured. `level` is the service level of a load on a
    server; with `find_max` the run searches for the highest rate that meets it, from the one point of the request.
    `energy_from` is the URL of the service that measures the server's host, empty for this host, and
    `energy_authorization` the secret header that it demands, empty for none. `combinations` are the
    values of some parameters that the points must have together, empty for all combinations. `ambient_celsius` is the
    given temperature of the room, `ambient_sensor` the device/domain of a sensor of it.
    """

    spec: Spec
    engine: EngineSpec
    axes: Axes
    plan: MeasurementPlan
    tariff: Tariff | None
    order_seed: int = 0
    limits: Limits = field(default_factory=Limits)
    level: ServiceLevel | None = None
    find_max: bool = False
    energy_from: str = ""
    combinations: tuple[Point, ...] = ()
    ambient_celsius: float | None = None
    ambient_sensor: str = ""
    energy_authorization: str = field(default="", repr=False)

    @property
    def points(self) -> tuple[Point, ...]:
        """The points of the sweep, in the order of the document."""
        every = points_of(self.axes)
        return tuple(point for point in every if self._is_wanted(point)) if self.combinations else every

    def _is_wanted(self, point: Point) -> bool:
        """Return whether a point has one of the combinations; a parameter with one value is part of no point."""
        return any(all(point.get(name, value) == value for name, value in each.items()) for each in self.combinations)


def _always(_reason: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """The conditions of a run.

    With `stored` False nothing is left in a database. With `needs_energy` a host that cannot measure energy is refused.
    `proceed` decides whether to continue on a busy host; its argument is the reason against it. `run_id` is the id of
    the run and its profile, empty for a new one; an incomplete run of this id is replaced.
    """

    stored: bool = True
    needs_energy: bool = False
    proceed: Callable[[str], bool] = _always
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The host of a run with its sensors and warnings, and the store of the run.

    `server` is the server under load, None if the run loads its own model. The sensors of this host do not measure a
    server on another host. `remote` is the host of the server if its sensors are read; `host` and `discovery` are then
    those of that host. `unstored` returns the ticks that are not stored yet, or cannot be.
    """

    host: Host
    roots: Roots
    discovery: Discovery
    layouts: tuple[Layout, ...]
    warnings: tuple[str, ...]
    timebase: Timebase
    engine: Engine
    writer: Writer
    server: Server | None = None
    remote: RemoteHost | None = None
    unstored: Callable[[], Sequence[Tick]] = tuple

    @property
    def is_elsewhere(self) -> bool:
        """Whether the workload runs on another host, whose sensors are not read."""
        return self.server is not None and not self.server.local and self.remote is None

    def host_settings(self) -> HostSettings | None:
        """Return the settings of the measured host now, None if it is another one."""
        return None if self.remote else read_host_settings(self.roots)

    @property
    def channels(self) -> list[Channel]:
        """All channels of the host that runs the workload, with their calibration, and those of unreadable devices."""
        if self.is_elsewhere:
            return []
        return [*(channel for layout in self.layouts for channel in layout.channels), *self.discovery.stand_ins]

    def series(self, start_ns: int, end_ns: int, metrics: frozenset[str]) -> tuple[Series, ...]:
        """Return the samples of this run, also those that are not stored, with the calibration at its start.

        Another program may have calibrated the stored channels of the same sensors since. Samples are read in chunks
        into arrays: 24 bytes a sample instead of 137 for tuples. None measure a workload on another host.
        """
        if self.is_elsewhere:
            return ()
        known = {channel.key: channel for channel in reversed(self.channels)}
        reader, whole, unstored = Reader(self.engine, _report), dict[int, Series](), self.unstored()
        for since_ns in range(start_ns, end_ns + 1, _READ_CHUNK_NS):
            until_ns = min(since_ns + _READ_CHUNK_NS - 1, end_ns)
            for position, each in enumerate(reader.series(self.writer.recording, since_ns, until_ns, metrics)):
                collected = whole.get(position) or _empty(known[each.channel.key])
                whole[position] = _continued(collected, each)
        return tuple(
            _continued(each, unstored_samples(each, self.layouts, unstored, start_ns, end_ns))
            for each in whole.values()
        )


def _report(damage: Damage) -> None:
    """Log a damaged row, which is left out: for its sensor, that is a gap."""
    get_logger("profile").warning("damaged samples are left out", reason=str(damage))


def _empty(channel: Channel) -> Series:
    return Series(channel, array("q"), array("d"), (), array("q"))


def _continued(series: Series, more: Series) -> Series:
    """Return a series with more samples at its end; the arrays of the first are reused."""
    for mine, its in (
        (series.times_ns, more.times_ns),
        (series.values, more.values),
        (series.halves_ns, more.halves_ns),
    ):
        cast("array[float]", mine).extend(its)
    return replace(series, rejections=(*series.rejections, *more.rejections))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The result of a run: its record at the end, the description of the loaded model, and its complete windows.

    `models` and `works` are the models and the work of the points, by the encoded point, `equivalent` the best point
    for each one that was measured no further because it is equivalent, both encoded, and `lost` the errors of the
    points that cannot be measured, by their name. `power_limits` are those of the RAPL zones in watts at both edges of
    each window.
    """

    run: Run
    ready: Ready | None
    windows: tuple[Window, ...]
    sampling_period_seconds: float
    host_state: HostState
    failure: WorkloadError | None = None
    sustainable_rate: SustainableRate | None = None
    sampler: SamplingConditions | None = None
    loads: Mapping[WindowKey, HostLoad] = field(default_factory=dict)
    models: Mapping[str, LoadedModel] = field(default_factory=dict)
    equivalent: Mapping[str, str] = field(default_factory=dict)
    works: Mapping[str, Mapping[str, Work]] = field(default_factory=dict)
    lost: Mapping[str, WorkloadError] = field(default_factory=dict)
    power_limits: Mapping[WindowKey, tuple[Mapping[str, float], ...]] = field(default_factory=dict)


def complete_windows(windows: Sequence[Window], phases: tuple[str, ...]) -> tuple[Window, ...]:
    """Drop the windows of an incomplete repeat: an inference has all phases."""
    seen: dict[tuple[str, int], int] = {}
    for window in windows:
        seen[window.point, window.repeat] = seen.get((window.point, window.repeat), 0) + 1
    return tuple(w for w in windows if not w.point or seen[w.point, w.repeat] == len(phases))
