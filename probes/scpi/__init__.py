"""Bench power meters that answer to SCPI queries."""

from probes.family import Family
from probes.model import Kind
from probes.scpi.discovery import discover

FAMILY = Family(
    "scpi",
    "Bench meters over SCPI",
    (Kind.HOST,),
    reads="power analyzers with a raw socket, by their queries; they calibrate all other meters",
    method="measured: the power, and an energy integral if the meter runs one",
    refresh="1 s, or refresh_seconds of the meter",
    tested_on=("pyvisa-sim", "PyVISA-py at a raw socket of ours"),
    configured=True,
    meter_kinds=("scpi",),
)

__all__ = ["FAMILY", "discover"]
