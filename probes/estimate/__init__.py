"""Modelled power of processors that no sensor measures."""

from probes.estimate.probe import discover

__all__ = ["discover"]
