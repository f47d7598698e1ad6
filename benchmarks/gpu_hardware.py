"""Measures the driver of a real NVIDIA GPU: the cost and answer of each call, refresh periods, and energies under load.

    PYTHONPATH=. python benchmarks/gpu_hardware.py -o gpu.json       # 80 s; needs pynvml, and torch for the load

It needs the first GPU idle. It prints JSON and changes no setting. docs/methodology.md has the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pynvml
from gpu_driver import Gpm, changes, costs, field, field_value, gpm_costs, moments, three, throttle
from gpu_load import LOAD, Load

from probes import nvml
from probes.model import CounterReader, Roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LIMIT_SECONDS = 85.0
"""No section starts after this time."""
ALL_LINKS = 0xFFFFFFFF
FIELDS = (
    *((number, 0) for number in (*range(74, 84), 90, 91, 94, 185, 186, 187, 188, 189, 190, 191, 192, 197, 198)),
    *((number, scope) for scope in (1, 2) for number in (185, 186, 188, 191)),
    *((number, scope) for scope in (0, ALL_LINKS) for number in (60, 66, 138, 139, 140, 141, 202, 204)),
    *((number, 0) for number in (*range(251, 257), *range(269, 274))),
)
"""(field, scope): performance policies, energy, power, links, and the two ranges of the thermal throttle counters."""
TOGETHER = {
    "energy": ((83, 0),),
    "energy and instant power": ((83, 0), (186, 0)),
    "energy and both powers": ((83, 0), (185, 0), (186, 0)),
    "power": ((186, 0), (185, 0), (185, 2)),
    "instant power": ((186, 0),),
    "throttled time": ((74, 0), (75, 0)),
    "PCIe bytes": ((197, 0), (198, 0)),
    "NVLink bytes": ((138, ALL_LINKS), (139, ALL_LINKS)),
}
CALLS: dict[str, tuple[int, ...]] = {
    "nvmlDeviceGetTotalEnergyConsumption": (),
    "nvmlDeviceGetPowerUsage": (),
    "nvmlDeviceGetEnforcedPowerLimit": (),
    "nvmlDeviceGetUtilizationRates": (),
    "nvmlDeviceGetClockInfo": (1,),
    "nvmlDeviceGetTemperature": (0,),
    "nvmlDeviceGetTemperatureV": (0,),
    "nvmlDeviceGetCurrentClocksEventReasons": (),
    "nvmlDeviceGetMemoryInfo": (),
    "nvmlDeviceGetComputeRunningProcesses_v3": (),
    "nvmlDeviceGetProcessUtilization": (0,),
    "nvmlDeviceGetPcieThroughput": (0,),
    "nvmlDeviceGetMigMode": (),
    "nvmlDeviceGetMaxMigDeviceCount": (),
    "nvmlDeviceGetPersistenceMode": (),
    "nvmlDeviceGetVirtualizationMode": (),
    "nvmlDeviceGetArchitecture": (),
    "nvmlDeviceGetNumGpuCores": (),
    **{f"nvmlDeviceGetViolationStatus {policy}": (policy,) for policy in (0, 1, 2, 3, 4, 5, 10, 11)},
}


def idle_power(handle: Any, seconds: float, every: float) -> dict[str, Any]:
    """Return the mean power of the energy counter while samples are taken at an interval, 0 for none."""
    gpm = Gpm(handle) if every else None
    try:
        start, began = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), time.perf_counter()
        taken = 0
        while time.perf_counter() - began < seconds:
            if gpm:
                gpm.take(taken % 2)
                taken += 1
            time.sleep(every or 0.5)
        end, ended = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), time.perf_counter()
    finally:
        if gpm:
            gpm.close()
    return {"samples": taken, "watts": round((end - start) / 1e3 / (ended - began), 3)}


def integrated(handle: Any, seconds: float) -> dict[str, Any]:
    """Return the energy of the counter, and the integrals of instant and average power, over the same time."""
    powers: dict[int, list[tuple[float, int]]] = {186: [], 185: []}
    energy: list[tuple[float, int]] = []
    reasons: dict[str, int] = {}
    before = {number: throttle(handle, number) for number in (74, 75, 251, 252, 253, 269, 270, 271)}
    began = time.perf_counter()
    turn = 0
    while time.perf_counter() - began < seconds:
        for number, kept in powers.items():
            with suppress(pynvml.NVMLError):
                kept.append((time.perf_counter() - began, field_value(handle, number)))
        if turn % 5 == 0:
            value = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
            energy.append((round(time.perf_counter() - began, 5), value))
            bits = hex(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
            reasons[bits] = reasons.get(bits, 0) + 1
        turn += 1
        time.sleep(0.01)
    after = {number: throttle(handle, number) for number in before}
    counted = (energy[-1][1] - energy[0][1]) / 1e3
    span = (energy[0][0], energy[-1][0])
    return {
        "seconds": round(span[1] - span[0], 4),
        "counter_joules": round(counted, 3),
        "integrals": {
            number: {"joules": round(integral(kept, *span), 3), "reads": len(kept)} for number, kept in powers.items()
        },
        "power_limit_mw": pynvml.nvmlDeviceGetEnforcedPowerLimit(handle),
        "reasons": reasons,
        "throttled": {number: [start, after[number]] for number, start in before.items() if start is not None},
        "energy": energy[::2][:150],
        "instant": [(round(at, 4), value) for at, value in powers[186][::10]][:150],
        "average": [(round(at, 4), value) for at, value in powers[185][::20]][:75],
    }


def integral(powers: Sequence[tuple[float, int]], first: float, last: float) -> float:
    """Return the integral of milliwatts over seconds between two times, in joules, by trapezoids."""
    inside = [(at, value) for at, value in powers if first <= at <= last]
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2e3 for a, b in pairwise(inside))


def probe_reads(seconds: float) -> dict[str, Any]:
    """Return the channels of the project's own probes of the first GPU, their values, and the costs of their reads."""
    began = time.perf_counter()
    found = nvml.discover(Roots())
    discovered = time.perf_counter() - began
    device = found.probes[0].channels[0].device if found.probes else None
    probes = [probe for probe in found.probes if probe.channels[0].device == device]
    spent: dict[str, list[float]] = {}
    values: dict[str, Sequence[float]] = {}
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for probe in probes:
            reads = {probe.name.partition("/")[2][-8:]: probe.read}
            if isinstance(probe, CounterReader):
                reads["counters"] = probe.read_counters
            for name, read in reads.items():
                began = time.perf_counter()
                read_values = read(time.monotonic_ns())
                spent.setdefault(name, []).append((time.perf_counter() - began) * 1e6)
                values[probe.name] = read_values if name != "counters" else values[probe.name]
        time.sleep(0.15)
    rejected = {(probe.channels[each.channel].path, each.reason) for probe in probes for each in probe.rejections}
    for probe in found.probes:
        probe.close()
    return {
        "discovery_seconds": round(discovered, 3),
        "problems": [str(problem) for problem in found.problems],
        "device": {"name": device.name, **dict(device.attributes)} if device else {},
        "channels": [
            [channel.domain, channel.metric, channel.method, value]
            for probe in probes
            for channel, value in zip(probe.channels, values[probe.name], strict=True)
        ],
        "us": {name: three(us) for name, us in spent.items()},
        "rejections": sorted(map(str, rejected)),
    }


def counters_of(handle: Any) -> dict[str, Callable[[], int]]:
    """Return the calls whose refresh period is measured."""
    return {
        "energy": partial(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle),
        "instant power": partial(field_value, handle, 186),
        "average power": partial(field_value, handle, 185),
        "energy field": partial(field_value, handle, 83),
    }


def sections(handle: Any, load: Load) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the parts of the measurement in order, each with the function that measures it."""
    yield "calls", lambda: {name: costs(partial(call, handle, name, *more)) for name, more in CALLS.items()}
    yield "fields", lambda: {f"{number}:{scope}": field(handle, number, scope) for number, scope in FIELDS}
    yield "together", partial(together, handle)
    yield "moments of energy and power, idle", partial(moments, handle, 2.0)
    for name, read in counters_of(handle).items():
        yield f"refresh of {name}, idle", partial(changes, read, 2.5 if name != "energy field" else 1.0)
    for every in (0.0, 1.0, 0.1):
        yield f"idle power, samples every {every:g} s", partial(idle_power, handle, 2.0, every)
    yield "gpm, idle", partial(gpm_costs, handle)
    yield "probe, idle", partial(probe_reads, 1.5)
    yield "load", partial(load.begin, "matmul", 39.0)
    yield "settling", partial(time.sleep, 1.5)
    for name, read in counters_of(handle).items():
        yield f"refresh of {name}, matmul", partial(changes, read, 1.5 if name != "energy field" else 1.0)
    yield "calls, matmul", lambda: {name: costs(partial(call, handle, name, *more), 5) for name, more in CALLS.items()}
    yield "together, matmul", partial(together, handle)
    yield "moments of energy and power, matmul", partial(moments, handle, 2.0)
    yield "energy, matmul", partial(integrated, handle, 20.0)
    yield "gpm, matmul", partial(gpm_costs, handle)
    yield "probe, matmul", partial(probe_reads, 2.0)
    yield "work of matmul", load.end
    yield "copies", partial(load.begin, "copy", 3.0)
    yield "settling of copies", partial(time.sleep, 1.0)
    yield "gpm, copies", partial(gpm_costs, handle)
    yield "work of copies", load.end
    yield "pulses", partial(load.begin, "pulses", 6.0)
    yield "energy, pulses", partial(integrated, handle, 5.0)
    yield "work of pulses", load.end


def together(handle: Any) -> dict[str, Any]:
    """Return the costs of calls for several fields."""
    found = {}
    for name, wanted in TOGETHER.items():
        answer = costs(partial(pynvml.nvmlDeviceGetFieldValues, handle, list(wanted)))
        found[name] = {"us": answer["us"], "cpu_us": answer["cpu_us"]}
    return found


def call(handle: Any, name: str, *more: int) -> Any:
    """Return the answer of the function of the binding whose name starts an entry of `CALLS`."""
    function = getattr(pynvml, name.partition(" ")[0])
    if name == "nvmlDeviceGetMemoryInfo":
        return function(handle, version=pynvml.nvmlMemory_v2)
    return function(handle, *more)


def environment(handle: Any) -> dict[str, Any]:
    """Return the GPU, its driver and the versions of the software."""
    return {
        "gpu": str(pynvml.nvmlDeviceGetName(handle)),
        "driver": str(pynvml.nvmlSystemGetDriverVersion()),
        "nvml": str(pynvml.nvmlSystemGetNVMLVersion()),
        "python": sys.version.split()[0],
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def main() -> None:
    """Run every section that begins in time, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, help="write the JSON to this file instead of the standard output")
    output = parser.parse_args().output
    began = time.perf_counter()
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    results: dict[str, Any] = {"environment": environment(handle)}
    with subprocess.Popen(
        [sys.executable, "-c", LOAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        load = Load(child)
        for name, measure in sections(handle, load):
            if time.perf_counter() - began > LIMIT_SECONDS:
                results[name] = "left out: no time"
                continue
            at = time.perf_counter() - began
            try:
                results[name] = measure()
            except Exception as error:  # noqa: BLE001 (one section that fails must not cost the others)
                results[name] = {"error": f"{type(error).__name__}: {error}"}
            print(f"{at:6.1f} s  {name}", file=sys.stderr, flush=True)
        child.kill()
    pynvml.nvmlShutdown()
    text = json.dumps(results, separators=(",", ":"))
    if output:
        output.write_text(f"{text}\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
