"""Modelled power of processors that no sensor measures."""

from probes.estimate.probe import discover
from probes.family import Family
from probes.model import Kind

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "estimate",
    "Model of processors that no sensor covers",
    (Kind.CPU,),
    reads="utilization",
    method="utilization times published watts of servers with the same microarchitecture",
    refresh="0.01 s",
    tested_on=("published measurements of servers",),
)
