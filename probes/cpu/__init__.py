"""The processor: utilization, frequency, model."""

from probes.cpu.probe import discover

__all__ = ["discover"]
