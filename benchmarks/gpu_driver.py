"""Calls of NVIDIA's driver library through its binding: their answers, costs and refreshes, and pairs of samples."""

from __future__ import annotations

import ctypes
import statistics
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pynvml

from probes.errors import DeviceLostError, ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GPM_METRICS = (1, 2, 3, 5, 7, 10, 11, 12, 13, 20, 21, 60, 61)
"""Busy shares of the GPU, its multiprocessors, warps, tensor and other units and memory; PCIe and NVLink rates."""


def plain(answer: object) -> Any:
    """Return an answer of the binding as JSON."""
    if isinstance(answer, ctypes.Structure):
        return {name: plain(getattr(answer, name)) for name, *_ in answer._fields_}
    if isinstance(answer, (list, tuple)):
        return [plain(each) for each in answer][:4]
    return answer if isinstance(answer, (int, float, str)) or answer is None else str(answer)


def costs(call: Callable[[], object], times: int = 20, seconds: float = 0.15) -> dict[str, Any]:
    """Return the last answer or error of a call, and its cost over several calls, in microseconds.

    `us` are the least, median and largest time of a call, `cpu_us` the mean of the CPU time of this thread.
    """
    spent: list[float] = []
    answer: dict[str, Any] = {}
    ends = time.perf_counter() + seconds
    busy = time.thread_time()
    while len(spent) < times and (time.perf_counter() < ends or not spent):
        began = time.perf_counter()
        try:
            answer = {"answer": call()}
        except (pynvml.NVMLError, AttributeError, TypeError, ReadError, DeviceLostError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        spent.append((time.perf_counter() - began) * 1e6)
    cpu_us = round((time.thread_time() - busy) * 1e6 / len(spent), 1)
    if "answer" in answer:
        answer["answer"] = plain(answer["answer"])
    return {**answer, "calls": len(spent), "us": three(spent), "cpu_us": cpu_us}


def three(values: Sequence[float], digits: int = 1) -> list[float]:
    """Return the least, the median and the largest value, [] of nothing."""
    return [round(each, digits) for each in (min(values), median(values), max(values))] if values else []


def median(values: Sequence[float]) -> float:
    """Return the median, 0 of nothing."""
    return statistics.median(values) if values else 0.0


def field(handle: Any, number: int, scope: int) -> dict[str, Any]:
    """Return one field with its own return code and type, and the cost of the call."""
    found = costs(lambda: pynvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])[0], times=10, seconds=0.08)
    answer = found.pop("answer", None)
    if answer is None:
        return found
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    value = pynvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])[0]
    return {
        "value": getattr(value.value, members[value.valueType]) if not value.nvmlReturn else None,
        "return": value.nvmlReturn,
        "type": value.valueType,
        "us": found["us"],
        "cpu_us": found["cpu_us"],
    }


def field_value(handle: Any, number: int) -> int:
    """Return one field of the GPU."""
    value = pynvml.nvmlDeviceGetFieldValues(handle, [(number, 0)])[0]
    if value.nvmlReturn:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.ullVal if value.valueType in {2, 3} else value.value.uiVal)


def changes(read: Callable[[], int], seconds: float) -> dict[str, Any]:
    """Read at 1 kHz, or as fast as the driver answers; return each change, its spacing, and the cost of a read."""
    seen: list[tuple[float, int]] = []
    spent: list[float] = []
    began = due = time.perf_counter()
    busy = time.thread_time()
    while (now := time.perf_counter()) - began < seconds:
        try:
            value = read()
        except pynvml.NVMLError as error:
            return {"error": str(error)}
        after = time.perf_counter()
        spent.append((after - now) * 1e6)
        if not seen or value != seen[-1][1]:
            seen.append((round((now + after) / 2 - began, 5), value))
        due = max(due + 0.001, after - 0.001)
        time.sleep(max(0.0, due - time.perf_counter()))
    gaps = [(b[0] - a[0]) * 1e3 for a, b in pairwise(seen[1:])]
    cpu_us = round((time.thread_time() - busy) * 1e6 / len(spent), 1)
    return {
        "reads": len(spent),
        "changes": len(seen) - 1,
        "gaps_ms": three(gaps, 2),
        "us": three(spent),
        "cpu_us": cpu_us,
        "seen": seen[:120],
    }


def moments(handle: Any, seconds: float) -> dict[str, Any]:
    """Read energy and instant power in one call; return the moments of their changes, and the driver's time stamps.

    `lags_ms` are the times from each change of the energy to the nearest change of the power. `ages_ms` are the times
    from the driver's stamp of each value to the end of the call that returned it.
    """
    wanted = [(83, 0), (186, 0)]
    changed: list[list[float]] = [[], []]
    stamps: list[list[float]] = [[], []]
    last: list[int | None] = [None, None]
    reads, began, busy = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - began < seconds:
        values = pynvml.nvmlDeviceGetFieldValues(handle, wanted)
        now, unix = time.perf_counter() - began, time.time()
        reads += 1
        for at, value in enumerate(values):
            raw = value.value.ullVal if value.valueType in {2, 3} else value.value.uiVal
            stamps[at].append(unix * 1e3 - value.timestamp / 1e3)
            if last[at] is not None and raw != last[at]:
                changed[at].append(now)
            last[at] = raw
        time.sleep(0.0005)
    cpu_us = round((time.thread_time() - busy) * 1e6 / max(reads, 1), 1)
    lags = [min(((power - energy) * 1e3 for power in changed[1]), key=abs) for energy in changed[0] if changed[1]]
    return {
        "reads": reads,
        "cpu_us": cpu_us,
        "changes": [len(each) for each in changed],
        "lags_ms": [round(each, 2) for each in lags][:60],
        "ages_ms": [three(each, 2) for each in stamps],
        "energy_moments": [round(each, 4) for each in changed[0]][:60],
        "power_moments": [round(each, 4) for each in changed[1]][:60],
    }


class Gpm:
    """Pairs of samples of the GPU's performance counters."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._samples = [pynvml.nvmlGpmSampleAlloc() for _ in range(2)]

    def take(self, number: int) -> None:
        """Take a sample into one of the two buffers."""
        pynvml.nvmlGpmSampleGet(self._handle, self._samples[number])

    def metrics(self, wanted: Sequence[int] = GPM_METRICS) -> dict[int, Any]:
        """Return the metrics between both samples, or the error code of each."""
        query = pynvml.c_nvmlGpmMetricsGet_t()
        query.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        query.numMetrics = len(wanted)
        query.sample1, query.sample2 = self._samples
        for at, number in enumerate(wanted):
            query.metrics[at].metricId = number
        pynvml.nvmlGpmMetricsGet(query)
        found = [query.metrics[at] for at in range(len(wanted))]
        return {each.metricId: each.value if not each.nvmlReturn else f"error {each.nvmlReturn}" for each in found}

    def over(self, seconds: float) -> dict[int, Any]:
        """Return the metrics of the next seconds."""
        self.take(0)
        time.sleep(seconds)
        self.take(1)
        return self.metrics()

    def close(self) -> None:
        """Free both buffers."""
        for sample in self._samples:
            pynvml.nvmlGpmSampleFree(sample)


def gpm_costs(handle: Any) -> dict[str, Any]:
    """Return the support of performance counters, the cost of a sample and of its metrics, and short spans."""
    support = costs(lambda: pynvml.nvmlGpmQueryDeviceSupport(handle), times=3)
    found: dict[str, Any] = {"support": support}
    with suppress(pynvml.NVMLError, AttributeError):
        found["streaming"] = pynvml.nvmlGpmQueryIfStreamingEnabled(handle)
    try:
        gpm = Gpm(handle)
    except (pynvml.NVMLError, AttributeError) as error:
        return {**found, "error": str(error)}
    try:
        found["sample"] = costs(partial(gpm.take, 0))
        found["spans"] = {}
        for seconds in (0.01, 0.05, 0.1, 0.5):
            with suppress(pynvml.NVMLError):
                found["spans"][seconds] = gpm.over(seconds)
        found["metrics"] = costs(gpm.metrics)
        found["three metrics"] = costs(partial(gpm.metrics, (2, 5, 10)))
    except pynvml.NVMLError as error:
        found["error"] = str(error)
    finally:
        gpm.close()
    return found


def throttle(handle: Any, number: int) -> int | None:
    """Return a field that may be a throttle counter, None if the GPU has none of this number."""
    try:
        return field_value(handle, number)
    except pynvml.NVMLError:
        return None
