"""Measures windows with pyJoules: its energy meter over all the RAPL domains that it finds."""

from __future__ import annotations

from collections import Counter

from peer_windows import Measured, answer, wanted
from pyJoules.device import DeviceFactory
from pyJoules.energy_meter import EnergyMeter

windows = wanted()
meter = EnergyMeter(DeviceFactory.create_devices())
measured = []
for _ in range(windows.repeats):
    meter.start()
    start, end = windows.play()
    meter.stop()
    (sample,) = meter.get_trace()
    joules: Counter[str] = Counter()
    for domain, microjoules in sample.energy.items():  # "package_0", "dram_0", "core_0"
        joules[domain.partition("_")[0]] += microjoules / 1e6
    measured.append(Measured(start, end, dict(joules)))
answer(measured)
