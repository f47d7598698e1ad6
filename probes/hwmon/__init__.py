"""Sensors of the kernel's hwmon class."""

from probes.hwmon.probe import discover

__all__ = ["discover"]
