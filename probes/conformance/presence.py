"""Checks of devices that disappear, return, change their number, or sleep."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.conformance.bench import Bench, Reading, key_of, require
from probes.conformance.description import problems_have_remedies
from probes.errors import DeviceLostError, ProbeUnavailableError

if TYPE_CHECKING:
    from probes.conformance.host import Key

_TOLERANCE = 1e-6


def removal(bench: Bench) -> str:
    """Check that a removed device returns no number, is not found, and is found under the same names on its return."""
    bench.discovered()
    before = _keys(bench)
    bench.read_all()
    bench.host.unplug()
    bench.step()
    readings = [bench.read(probe) for probe in bench.probes]
    gone = {key for reading in readings for key in _without_number(bench, reading)}
    require(gone, "the device is removed, and every channel still returns a number")
    bench.close_probes()
    try:
        found = bench.search()
        problems_have_remedies(found.problems)
        still = gone & _keys(bench)
        require(not still, f"discovery still finds {sorted(still)} of the removed device")
    except ProbeUnavailableError:
        pass  # nothing else is here
    bench.close_probes()
    bench.host.replug()
    bench.discovered()
    bench.step()
    bench.read_all()
    require(_keys(bench) == before, f"the returned device has other channels: {sorted(_keys(bench) ^ before)}")
    return ", ".join(sorted({_ending(reading) for reading in readings}))


def renumbering(bench: Bench) -> str:
    """Check that the same devices under other numbers have the same channels with the same values."""
    bench.discovered()
    bench.pass_time()
    before, values, truth = _keys(bench), bench.read_all(), bench.host.truth()
    bench.close_probes()
    bench.host.renumber()
    bench.discovered()
    require(_keys(bench) == before, f"other channels after renumbering: {sorted(_keys(bench) ^ before)}")
    bench.pass_time()
    again, later = bench.read_all(), bench.host.truth()
    shown = [key for key in truth if _close(values.get(key, math.nan), truth[key])]  # other counters start at 0
    for key in shown:
        sentence = f"{'/'.join(key)} is {again[key]} after renumbering, and the hardware {later[key]}: another device"
        require(_close(again[key], later[key]), sentence)
    require(shown, "no channel shows a value of the hardware by which it could be identified")
    return f"{len(before)} channels"


def suspension(bench: Bench) -> str:
    """Check that a read of a suspended device touches no sensor and returns no number."""
    bench.discovered()
    bench.read_all()
    bench.host.suspend()
    for _ in range(2):
        bench.step()
        for probe in bench.probes:
            reading = bench.read(probe)
            numbers = {key: value for key, value in reading.numbers.items() if key not in bench.host.constants}
            require(not numbers, f"{probe.name} returns {numbers} of a suspended device")
    _require_untouched(bench, "a read")
    return f"{len(bench.probes)} probes"


def suspended_discovery(bench: Bench) -> str:
    """Check that discovery touches no sensor of a suspended device."""
    bench.host.suspend()
    try:
        bench.search()
    except ProbeUnavailableError as error:
        _require_untouched(bench, "discovery")
        return f"unavailable: {error.reason}"
    _require_untouched(bench, "discovery")
    return f"{len(bench.probes)} probes of suspended devices"


def _require_untouched(bench: Bench, action: str) -> None:
    touched = bench.host.touched()
    require(not touched, f"{action} wakes a suspended device: {'; '.join(touched[:5])}")


def _without_number(bench: Bench, reading: Reading) -> set[Key]:
    keys = set(map(key_of, reading.probe.channels))
    return keys - reading.numbers.keys() - bench.host.constants


def _close(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= abs(wanted) * _TOLERANCE + 1e-9


def _ending(reading: Reading) -> str:
    if isinstance(reading.error, DeviceLostError):
        return "DeviceLostError"
    return "ReadError" if reading.error else "NaN"


def _keys(bench: Bench) -> set[Key]:
    return {key_of(channel) for probe in bench.probes for channel in probe.channels}
