"""Finds the sensors of one NVIDIA GPU by querying them, and converts the driver's integers to values.

Fields, scopes and meanings of the numbers: NVIDIA's NVML API Reference Guide.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.errors import ReadError
from probes.model import Channel, Kind
from probes.nvml.activity import activity, instances
from probes.nvml.counters import counters
from probes.nvml.queries import Sensor, SensorQuery, exists, first_of
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts, max_watts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.nvml.library import Gpu
    from probes.nvml.queries import GpuInfo, Key

REFRESH_SECONDS = 0.1
"""Energy and power change every 20 to 100 ms, depending on the GPU; A100 and H100 take about 100 ms."""
AVERAGING_SECONDS = 1.0
"""An average power covers the last second (NVML's documentation of nvmlDeviceGetPowerUsage)."""
UTILIZATION_SECONDS = 1.0
"""The longest averaging period of the driver's utilization (1/6 to 1 s)."""
SCOPE_GPU, SCOPE_MODULE, SCOPE_MEMORY = 0, 1, 2
_AVERAGE, _INSTANT, _HIGHEST_LIMIT = 185, 186, 188
_METHODS: Mapping[int, str] = {_INSTANT: "instant", _AVERAGE: "average"}
_SCOPE_READS = 3  # a new value may appear between the two answers of one call
_DIE, _SM_CLOCK, _MEMORY_CLOCK = 0, 1, 2
_AMPERE, _UNKNOWN_ARCHITECTURE = 7, 0xFFFFFFFF
_GA100, _GH100 = range(0x2080, 0x2100), range(0x2300, 0x2380)
"""PCI device numbers of the chips GA100 (A100, A30 and related) and GH100 (H100, H200, GH200 and related)."""
PARTIAL_INSTANT = "average of 25 in 100 ms"
"""The method of the instant power of these two chips, which observes a quarter of the time.

Source: "Part-time Power Measurements: nvidia-smi's Lack of Attention", arXiv:2312.02741, which compared over 70 GPUs
with an external meter. It is unknown whether the average over a second uses the same quarter, so the same share is
assumed. The energy counter is preferable.
"""
PARTIAL_AVERAGE = "average of 250 in 1000 ms"
"""The method of their average over a second."""
_PARTIAL_METHODS: Mapping[str, str] = {"instant": PARTIAL_INSTANT, "average": PARTIAL_AVERAGE}


def power_fields(gpu: Gpu, scope: int) -> tuple[int, ...]:
    """Return the power fields of a GPU for `scope`, instant power before the average."""
    found = (number for number in _METHODS if exists(partial(gpu.field, number, scope)))
    return tuple(number for number in found if scope == SCOPE_GPU or not _ignores_scope(gpu, number, scope))


def _ignores_scope(gpu: Gpu, number: int, scope: int) -> bool:
    """Return whether the driver reports the GPU's own power for another scope: equal to the milliwatt at once."""
    for _ in range(_SCOPE_READS):
        try:
            own, other = gpu.fields(((number, SCOPE_GPU), (number, scope)))
        except ReadError:
            return False
        if own is not None and own == other:
            return True
    return False


def find_queries(one: GpuInfo, publisher: str, module: tuple[Key, ...] = ()) -> tuple[SensorQuery, ...]:
    """Return the queries of a GPU, energy first.

    `publisher` is the UUID of the GPU that publishes the power of their board, empty if no GPU reports it. `module` is
    the (device, domain) of the meter of the module that the GPU shares with a processor.
    """
    gpu, device = one.gpu, one.device
    containers = (*(((publisher, "module"),) if publisher else ()), *module)
    max_plausible = PLAUSIBLE_LIMIT_FACTOR * _highest_limit_watts(gpu)
    found = [
        *_energy(one, containers, max_plausible),
        *_power(one, publisher, containers, max_plausible),
        *_utilization(one),
    ]
    if exists(gpu.memory_bytes):
        sensors = tuple(Sensor(Channel(device, "memory", f"memory_{which}_bytes")) for which in ("used", "total"))
        found.append(SensorQuery(sensors, gpu.memory_bytes))
    for domain, clock in (("sm", _SM_CLOCK), ("memory", _MEMORY_CLOCK)):
        channel = Channel(device, domain, "frequency_hertz", resolution=1e6)
        found += first_of(Sensor(channel, times=1_000_000), partial(gpu.number, "nvmlDeviceGetClockInfo", clock))
    found += first_of(
        Sensor(Channel(device, "core", "temperature_celsius", resolution=1.0)),
        partial(gpu.number, "nvmlDeviceGetTemperature", _DIE),
        partial(gpu.number, "nvmlDeviceGetTemperatureV", _DIE),  # replaces the first, which NVIDIA announced to remove
    )
    found += first_of(
        Sensor(Channel(device, "board", "throttle_reasons")),
        partial(gpu.number, "nvmlDeviceGetCurrentClocksEventReasons"),
        partial(gpu.number, "nvmlDeviceGetCurrentClocksThrottleReasons"),  # its name in older drivers
    )
    limit = Sensor(Channel(device, "board", "power_limit_watts", resolution=0.001), over=1000)
    found += first_of(limit, partial(gpu.number, "nvmlDeviceGetEnforcedPowerLimit"))
    return (*found, *counters(one), *(instances(one) if one.mig else activity(one)))


def _highest_limit_watts(gpu: Gpu, scope: int = SCOPE_GPU) -> float:
    """Return the highest settable power limit, else the one in force, in watts; 0 if neither is known.

    The limit in force may be raised later, so it alone could make true readings look impossible.
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


def _energy(one: GpuInfo, containers: tuple[Key, ...], max_plausible: float) -> list[SensorQuery]:
    channel = Channel(
        one.device,
        "board",
        "energy_joules",
        method="counter",
        refresh_seconds=REFRESH_SECONDS,
        resolution=0.001,
        contained_in=containers,
        max_plausible=max_plausible,
    )
    ask = partial(one.gpu.number, "nvmlDeviceGetTotalEnergyConsumption")
    counter = Counter(0, max_watts(channel) * 1000, REFRESH_SECONDS)
    return first_of(Sensor(channel, over=1000, counter=counter), ask)


def _power(one: GpuInfo, publisher: str, containers: tuple[Key, ...], max_plausible: float) -> list[SensorQuery]:
    """Return the queries of every power that a GPU reports, in one call if the driver has fields for it.

    The average and the memory's power are contained in the board's, and the memory's in the average, so that they are
    never added.
    """
    gpu, device = one.gpu, one.device
    part_of_board = ((device.id, "board"), *containers)
    wanted: list[tuple[int, int]] = []
    sensors: list[Sensor] = []

    def want(domain: str, number: int, scope: int, contained_in: tuple[Key, ...], limit: float) -> None:
        wanted.append((number, scope))
        sensors.append(_power_sensor(one, domain, _METHODS[number], contained_in, limit))

    for number in power_fields(gpu, SCOPE_GPU):
        domain, contained_in = ("board-average", part_of_board) if wanted else ("board", containers)
        want(domain, number, SCOPE_GPU, contained_in, max_plausible)
    queries = [] if wanted else _plain_power(one, containers, max_plausible)
    has_average = any(sensor.channel.domain == "board-average" for sensor in sensors)
    averaged = ((device.id, "board-average"),) if has_average else ()
    for number in power_fields(gpu, SCOPE_MEMORY)[:1]:
        want("memory", number, SCOPE_MEMORY, (*averaged, *part_of_board), max_plausible)
    if publisher == device.id:
        limit = PLAUSIBLE_LIMIT_FACTOR * _highest_limit_watts(gpu, SCOPE_MODULE)
        want("module", one.module[0], SCOPE_MODULE, containers[1:], limit)
    if wanted:
        queries.append(SensorQuery(tuple(sensors), partial(gpu.fields, tuple(wanted))))
    return queries


def _plain_power(one: GpuInfo, containers: tuple[Key, ...], max_plausible: float) -> list[SensorQuery]:
    """Return the query for a driver without power fields, which reports instant or average power depending on chip."""
    sensor = _power_sensor(one, "board", _plain_method(one), containers, max_plausible)
    return first_of(sensor, partial(one.gpu.number, "nvmlDeviceGetPowerUsage"))


def _plain_method(one: GpuInfo) -> str:
    """Return the meaning of nvmlDeviceGetPowerUsage: the last second's average on Ampere and later except GA100."""
    try:
        architecture = one.gpu.number("nvmlDeviceGetArchitecture")
    except ReadError:
        return ""
    if architecture == _UNKNOWN_ARCHITECTURE:
        return ""
    return "instant" if architecture < _AMPERE or _is_of(one, _GA100) else "average"


def _is_of(one: GpuInfo, *chips: range) -> bool:
    return one.place is not None and any(one.place.model in chip for chip in chips)


def _power_sensor(one: GpuInfo, domain: str, method: str, containers: tuple[Key, ...], limit: float) -> Sensor:
    aliased = domain.startswith("board") and _is_of(one, _GA100, _GH100)
    channel = Channel(
        one.device,
        domain,
        "power_watts",
        method=_PARTIAL_METHODS.get(method, method) if aliased else method,
        aliased=aliased,
        refresh_seconds=AVERAGING_SECONDS if method == "average" else REFRESH_SECONDS,
        resolution=0.001,
        contained_in=containers,
        max_plausible=limit,
    )
    return Sensor(channel, over=1000)


def _utilization(one: GpuInfo) -> list[SensorQuery]:
    """Return the query of utilization, which a GPU split into instances lacks."""
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
    return first_of(Sensor(channel, over=100), one.gpu.utilization_percent)
