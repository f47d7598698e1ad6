"""Google TPUs."""

from probes.family import Family
from probes.model import Kind
from probes.tpu.discovery import REMEDY, discover

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "tpu",
    "Google TPUs",
    (Kind.ACCELERATOR,),
    reads="utilization and memory while a program uses the TPU; no power, which Google does not show",
    method="metrics of the TPU runtime (gRPC on loopback)",
    refresh="1 s",
    privilege="the extra `tpu`",
    remedy=REMEDY,
    tested_on=("gRPC server of the tests",),
)
