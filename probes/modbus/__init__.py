"""Electricity meters that answer over Modbus."""

from probes.family import Family
from probes.modbus.discovery import discover
from probes.model import Kind

FAMILY = Family(
    "modbus",
    "Meters over Modbus",
    (Kind.HOST,),
    reads="Eastron SDM, Shelly Pro 3EM, Janitza UMG, or any meter by its registers",
    method="measured: an energy counter, and the power",
    refresh="1 s",
    tested_on=("Modbus server of pymodbus with the documented registers",),
    configured=True,
    meter_kinds=("modbus",),
)

__all__ = ["FAMILY", "discover"]
