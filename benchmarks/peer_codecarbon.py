"""Measures windows with CodeCarbon: its tasks, or one run from start to stop if an interval is given."""

from __future__ import annotations

from codecarbon import OfflineEmissionsTracker
from peer_windows import Measured, answer, wanted

JOULES_A_KWH = 3.6e6

windows = wanted()
settings = {"country_iso_code": "DEU", "save_to_file": False, "log_level": "critical"}
settings |= {f"rapl_{option}": True for option in windows.options if option != "-"}
if windows.interval_seconds:
    settings["measure_power_secs"] = windows.interval_seconds
tracker = OfflineEmissionsTracker(**settings)


def read(found: object, start: int, end: int) -> Measured:
    """Return a window with the tracker's results."""
    domains = {"package": found.cpu_energy, "dram": found.ram_energy}
    return Measured(start, end, {domain: kwh * JOULES_A_KWH for domain, kwh in domains.items()})


measured = []
if windows.interval_seconds:
    tracker.start()
    start, end = windows.play()
    tracker.stop()
    measured.append(read(tracker.final_emissions_data, start, end))
else:
    tracker.start_task("warm-up")  # the first one is slow to start and would be inaccurate
    tracker.stop_task()
    for number in range(windows.repeats):
        tracker.start_task(str(number))
        start, end = windows.play()
        measured.append(read(tracker.stop_task(), start, end))
answer(measured)
