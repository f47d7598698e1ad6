"""AMD GPUs, beside the power and the temperatures that hwmon reads of them."""

from probes.amdgpu.discovery import discover
from probes.family import Family
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "amdgpu",
    "AMD GPUs",
    (Kind.GPU,),
    reads="energy (Instinct MI200 and later), utilization, memory, clock, power limit, reasons and time of "
    "reduced clocks, power of an APU's graphics and of an MI350 baseboard; power and temperatures come from hwmon",
    method="energy counter and other fields of the driver's table gpu_metrics, files of the driver",
    refresh="about 1 ms",
    tested_on=("synthetic trees with tables of every format from 1.1 to 1.8, 2.1 to 2.4 and 3.0",),
)
