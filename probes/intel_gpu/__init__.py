"""Intel GPUs."""

from probes.family import Family, ServiceNeeds
from probes.intel_gpu.discovery import discover
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "intel_gpu",
    "Intel GPUs",
    (Kind.GPU,),
    reads="utilization and clocks of each part; energy and memory of cards without energy in hwmon",
    method="idle residency of the drivers xe and i915; engine counters of xe (perf); Level Zero Sysman",
    refresh="0.1 s",
    privilege="access to /dev/dri for Level Zero, CAP_PERFMON for engines",
    remedy="let this user open /dev/dri/renderD* (group render) and install libze-intel-gpu1",
    tested_on=("trees of an Arc with xe and i915", "Intel's stub of Level Zero, and one of the tests"),
    service=ServiceNeeds(
        devices=("char-drm rw",), groups=("render",), capabilities=("CAP_PERFMON",), system_calls=("perf_event_open",)
    ),
)
