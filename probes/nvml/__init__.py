"""NVIDIA GPUs."""

from probes.nvml.discovery import discover

__all__ = ["discover"]
