"""AWS Inferentia and Trainium."""

from probes.family import Family, ServiceNeeds
from probes.model import Kind
from probes.neuron.discovery import discover
from probes.neuron.monitor import REMEDY

__all__ = ["FAMILY", "discover"]

FAMILY = Family(
    "neuron",
    "AWS Inferentia and Trainium",
    (Kind.ACCELERATOR,),
    reads="utilization of each core, memory; no power, which AWS does not show",
    method="neuron-monitor",
    refresh="1 s",
    privilege="access to /dev/neuron*",
    remedy=REMEDY,
    tested_on=("captured lines of neuron-monitor", "tree of an inf2.xlarge"),
    service=ServiceNeeds(devices=("char-neuron rw",)),
)
