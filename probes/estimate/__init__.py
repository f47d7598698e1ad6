"""Modelled power where no sensor measures the processor."""

from probes.estimate.probe import discover

__all__ = ["discover"]
