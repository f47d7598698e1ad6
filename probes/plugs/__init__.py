"""Smart plugs that answer over HTTP."""

from probes.family import Family
from probes.model import Kind
from probes.plugs.discovery import discover

FAMILY = Family(
    "plugs",
    "Smart plugs over HTTP",
    (Kind.HOST,),
    reads="Shelly of all generations and Tasmota, at the wall",
    method="measured: an energy counter, and the power",
    refresh="1 s; the counter of a Shelly 60 s",
    privilege="its password, if it has one",
    remedy="name a file of mode 0600 with the password in password_file of [[meters]]",
    tested_on=("HTTP and HTTPS server of ours, with the documented answers",),
    configured=True,
    meter_kinds=("shelly", "tasmota"),
)

__all__ = ["FAMILY", "discover"]
