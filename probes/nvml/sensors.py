"""Finds which sensors one NVIDIA GPU has, by asking, and says how each of the driver's integers becomes a value.

Fields, scopes and what the numbers mean: NVIDIA's NVML API Reference Guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.errors import ReadError
from probes.model import Channel, Kind, Reason
from probes.nvml.library import AbsentError
from probes.plausibility import BLANKS, PLAUSIBLE_LIMIT_FACTOR, check_gauge, highest_limit_watts, max_watts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from probes.model import Device
    from probes.nvml.library import Gpu, PciPlace

    Key = tuple[str, str]

REFRESH_SECONDS = 0.1
"""Energy and power show a new value every 20 to 100 ms, depending on the GPU; A100 and H100 take about 100."""
AVERAGING_SECONDS = 1.0
"""An average power is over the last second (NVML's documentation of nvmlDeviceGetPowerUsage), and that old."""
UTILIZATION_SECONDS = 1.0
"""The longest period the driver takes utilization over (1/6 to 1 s)."""
SCOPE_GPU, SCOPE_MODULE, SCOPE_MEMORY = 0, 1, 2
_AVERAGE, _INSTANT, _HIGHEST_LIMIT = 185, 186, 188
_METHODS: Mapping[int, str] = {_INSTANT: "instant", _AVERAGE: "average"}
_SCOPE_READS = 3  # a new value may appear between the two answers of one call
_DIE, _SM_CLOCK, _MEMORY_CLOCK = 0, 1, 2
_AMPERE, _UNKNOWN_ARCHITECTURE = 7, 0xFFFFFFFF
_GA100, _GH100 = range(0x2080, 0x2100), range(0x2300, 0x2380)
"""PCI device numbers of the chips GA100 (A100, A30 and their kin) and GH100 (H100, H200, GH200 and theirs)."""
PARTIAL_INSTANT = "average of 25 in 100 ms"
"""The method of what these two chips call the power of the moment: they observe a quarter of the time.

Source: "Part-time Power Measurements: nvidia-smi's Lack of Attention", arXiv:2312.02741, which compared over 70 GPUs
with an external meter. Whether their average over a second is made of the same quarter is not known, so it counts as
made of no more than that. The energy counter is to be preferred.
"""
PARTIAL_AVERAGE = "average of 250 in 1000 ms"
"""The method of their average over a second."""
_PARTIAL_METHODS: Mapping[str, str] = {"instant": PARTIAL_INSTANT, "average": PARTIAL_AVERAGE}


@dataclass(frozen=True, slots=True)
class GpuInfo:
    """A GPU that told who it is.

    `place` is None if it does not say. `board` is shared by the GPUs of one board. `module` are the fields that give
    the power of that whole board, the best first.
    """

    gpu: Gpu
    device: Device
    place: PciPlace | None
    mig: bool
    board: str
    module: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One channel, and how the driver's integer becomes its value: times `times` over `over`, counted if it counts."""

    channel: Channel
    times: int = 1
    over: int = 1
    counter: Counter | None = None

    def value(self, raw: int | None, at_ns: int) -> float | Reason:
        """Return the value of the reading `raw` in the channel's unit, or why it is refused."""
        if raw is None:
            return Reason.READ_ERROR
        if self.counter is not None:
            return self.counter.advance(raw, at_ns) or self.counter.total / self.over
        return Reason.SENTINEL if raw in BLANKS else check_gauge(self.channel, raw * self.times / self.over)


@dataclass(frozen=True, slots=True)
class SensorQuery:
    """One call to the driver: `ask` returns one integer per sensor, in order; None where a part of it failed."""

    sensors: tuple[Sensor, ...]
    ask: Callable[[], Sequence[int | None]]

    def answers(self) -> Sequence[int | None]:
        """Return what the driver says, None for every sensor if the call failed. Raises DeviceLostError."""
        try:
            return self.ask()
        except ReadError:
            return [None] * len(self.sensors)


def power_fields(gpu: Gpu, scope: int) -> tuple[int, ...]:
    """Return the power fields that a GPU has for `scope`, the power of the moment before the average."""
    found = (number for number in _METHODS if _exists(partial(gpu.field, number, scope)))
    return tuple(number for number in found if scope == SCOPE_GPU or not _ignores_scope(gpu, number, scope))


def _ignores_scope(gpu: Gpu, number: int, scope: int) -> bool:
    """Return whether the driver answers the power of the GPU for another scope too: equal to the milliwatt at once."""
    for _ in range(_SCOPE_READS):
        try:
            own, other = gpu.fields(((number, SCOPE_GPU), (number, scope)))
        except ReadError:
            return False
        if own is not None and own == other:
            return True
    return False


def find_queries(one: GpuInfo, holder: str, module: tuple[Key, ...] = ()) -> tuple[SensorQuery, ...]:
    """Return what can be asked of a GPU, energy first.

    `holder` is the UUID of the GPU that publishes the power of their board, empty if no GPU reports it. `module` is
    the (device, domain) of the meter that others may have of the module that the GPU shares with a processor.
    """
    gpu, device = one.gpu, one.device
    within = (*(((holder, "module"),) if holder else ()), *module)
    most = PLAUSIBLE_LIMIT_FACTOR * _highest_limit_watts(gpu)
    found = [*_energy(one, within, most), *_power(one, holder, within, most), *_utilization(one)]
    if _exists(gpu.memory_bytes):
        sensors = tuple(Sensor(Channel(device, "memory", f"memory_{which}_bytes")) for which in ("used", "total"))
        found.append(SensorQuery(sensors, gpu.memory_bytes))
    for domain, clock in (("sm", _SM_CLOCK), ("memory", _MEMORY_CLOCK)):
        channel = Channel(device, domain, "frequency_hertz", resolution=1e6)
        found += _first_of(Sensor(channel, times=1_000_000), partial(gpu.number, "nvmlDeviceGetClockInfo", clock))
    found += _first_of(
        Sensor(Channel(device, "core", "temperature_celsius", resolution=1.0)),
        partial(gpu.number, "nvmlDeviceGetTemperature", _DIE),
        partial(gpu.number, "nvmlDeviceGetTemperatureV", _DIE),  # for when NVIDIA removes the first, as announced
    )
    found += _first_of(
        Sensor(Channel(device, "board", "throttle_reasons")),
        partial(gpu.number, "nvmlDeviceGetCurrentClocksEventReasons"),
        partial(gpu.number, "nvmlDeviceGetCurrentClocksThrottleReasons"),  # its name in older drivers
    )
    limit = Sensor(Channel(device, "board", "power_limit_watts", resolution=0.001), over=1000)
    found += _first_of(limit, partial(gpu.number, "nvmlDeviceGetEnforcedPowerLimit"))
    return tuple(found)


def _exists(ask: Callable[[], object]) -> bool:
    """Tell whether a sensor is there, though it may answer only a later time."""
    try:
        ask()
    except AbsentError:
        return False
    except ReadError:
        return True
    return True


def _first_of(sensor: Sensor, *asks: Callable[[], int]) -> list[SensorQuery]:
    """Return the question that asks the first way there is, none if there is none."""
    for ask in asks:
        if _exists(ask):
            return [SensorQuery((sensor,), _alone(ask))]
    return []


def _alone(ask: Callable[[], int]) -> Callable[[], tuple[int]]:
    return lambda: (ask(),)


def _highest_limit_watts(gpu: Gpu, scope: int = SCOPE_GPU) -> float:
    """Return the power limit that can be set at most, else the one in force, in watts; 0 if neither is known.

    The one in force may be raised while we run, so it alone would make true readings look impossible.
    """
    asks = [partial(gpu.field, _HIGHEST_LIMIT, scope)]
    if scope == SCOPE_GPU:
        asks.append(partial(gpu.number, "nvmlDeviceGetEnforcedPowerLimit"))
    for ask in asks:
        try:
            milliwatts = ask()
        except ReadError:
            continue
        if watts := highest_limit_watts([milliwatts], 1000, Kind.GPU):
            return watts
    return 0.0


def _energy(one: GpuInfo, within: tuple[Key, ...], most: float) -> list[SensorQuery]:
    channel = Channel(
        one.device,
        "board",
        "energy_joules",
        method="counter",
        refresh_seconds=REFRESH_SECONDS,
        resolution=0.001,
        contained_in=within,
        max_plausible=most,
    )
    ask = partial(one.gpu.number, "nvmlDeviceGetTotalEnergyConsumption")
    counter = Counter(0, max_watts(channel) * 1000, REFRESH_SECONDS)
    return _first_of(Sensor(channel, over=1000, counter=counter), ask)


def _power(one: GpuInfo, holder: str, within: tuple[Key, ...], most: float) -> list[SensorQuery]:
    """Return how to ask for every power a GPU reports, in one call where the driver has fields for it.

    The average and the memory's power are parts of the board's, and the memory's of the average, so that nobody adds
    one to another.
    """
    gpu, device = one.gpu, one.device
    part_of_board = ((device.id, "board"), *within)
    wanted: list[tuple[int, int]] = []
    sensors: list[Sensor] = []

    def want(domain: str, number: int, scope: int, contained_in: tuple[Key, ...], limit: float) -> None:
        wanted.append((number, scope))
        sensors.append(_power_sensor(one, domain, _METHODS[number], contained_in, limit))

    for number in power_fields(gpu, SCOPE_GPU):
        domain, contained_in = ("board-average", part_of_board) if wanted else ("board", within)
        want(domain, number, SCOPE_GPU, contained_in, most)
    queries = [] if wanted else _plain_power(one, within, most)
    has_average = any(sensor.channel.domain == "board-average" for sensor in sensors)
    averaged = ((device.id, "board-average"),) if has_average else ()
    for number in power_fields(gpu, SCOPE_MEMORY)[:1]:
        want("memory", number, SCOPE_MEMORY, (*averaged, *part_of_board), most)
    if holder == device.id:
        limit = PLAUSIBLE_LIMIT_FACTOR * _highest_limit_watts(gpu, SCOPE_MODULE)
        want("module", one.module[0], SCOPE_MODULE, within[1:], limit)
    if wanted:
        queries.append(SensorQuery(tuple(sensors), partial(gpu.fields, tuple(wanted))))
    return queries


def _plain_power(one: GpuInfo, within: tuple[Key, ...], most: float) -> list[SensorQuery]:
    """Return how to ask a driver without power fields, which tells the power of the moment or an average by chip."""
    sensor = _power_sensor(one, "board", _plain_method(one), within, most)
    return _first_of(sensor, partial(one.gpu.number, "nvmlDeviceGetPowerUsage"))


def _plain_method(one: GpuInfo) -> str:
    """Say what nvmlDeviceGetPowerUsage means: the last second's average on Ampere and later, but not on GA100."""
    try:
        architecture = one.gpu.number("nvmlDeviceGetArchitecture")
    except ReadError:
        return ""
    if architecture == _UNKNOWN_ARCHITECTURE:
        return ""
    return "instant" if architecture < _AMPERE or _is_of(one, _GA100) else "average"


def _is_of(one: GpuInfo, *chips: range) -> bool:
    return one.place is not None and any(one.place.model in chip for chip in chips)


def _power_sensor(one: GpuInfo, domain: str, method: str, within: tuple[Key, ...], limit: float) -> Sensor:
    aliased = domain.startswith("board") and _is_of(one, _GA100, _GH100)
    channel = Channel(
        one.device,
        domain,
        "power_watts",
        method=_PARTIAL_METHODS.get(method, method) if aliased else method,
        aliased=aliased,
        refresh_seconds=AVERAGING_SECONDS if method == "average" else REFRESH_SECONDS,
        resolution=0.001,
        contained_in=within,
        max_plausible=limit,
    )
    return Sensor(channel, over=1000)


def _utilization(one: GpuInfo) -> list[SensorQuery]:
    """Return how to ask for utilization, which a GPU split into instances has not."""
    if one.mig:
        return []
    channel = Channel(
        one.device,
        "board",
        "utilization_ratio",
        method="average",
        refresh_seconds=UTILIZATION_SECONDS,
        resolution=0.01,
    )
    return _first_of(Sensor(channel, over=100), one.gpu.utilization_percent)
