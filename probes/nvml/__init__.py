"""NVIDIA GPUs."""

from probes.nvml.probe import discover

__all__ = ["discover"]
