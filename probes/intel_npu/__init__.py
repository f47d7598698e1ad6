"""Intel NPUs."""

from probes.family import Family, ServiceNeeds
from probes.intel_npu.discovery import discover
from probes.intel_npu.telemetry import REMEDY
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "intel_npu",
    "Intel NPUs",
    (Kind.NPU,),
    reads="utilization, clock, memory, temperature; energy as a part of the package",
    method="attributes of the driver intel_vpu; energy modeled by firmware, from Intel's telemetry (PMT)",
    refresh="1 s",
    privilege="root, or the group of a udev rule, for energy and temperature",
    remedy=REMEDY.format(file="/sys/class/intel_pmt/telem*/telem"),
    tested_on=("tree of Lunar Lake",),
    service=ServiceNeeds(tmpfiles=("z /sys/class/intel_pmt/telem*/telem 0440 root inferometer -",)),
)
