"""NPUs of AMD's Ryzen AI processors (XDNA)."""

from probes.family import Family, ServiceNeeds
from probes.model import Kind
from probes.xdna.discovery import discover

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "xdna",
    "AMD Ryzen AI NPUs (XDNA)",
    (Kind.NPU,),
    reads="utilization of the columns, and power if hwmon lacks it",
    method="the driver's query of sensors (ioctl); power is the firmware's own measurement",
    refresh="that of the firmware; an idle NPU is read every few seconds, so that it can sleep",
    privilege="access to /dev/accel/accel*",
    remedy="let this user open /dev/accel/accel* for reading (group render)",
    service=ServiceNeeds(devices=("char-accel r",), groups=("render",)),
    tested_on=("a fake of the driver that checks every request", "synthetic tree"),
)
