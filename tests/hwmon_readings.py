"""Reads the hwmon probes of a simulated tree, by key."""

from probes.hwmon import probe as hwmon
from probes.model import Roots

GPU = "pci0000:00/0000:00:01.0/0000:03:00.0"
"""A graphics card behind a PCI bridge, below devices/."""


def discover(sysfs):
    return hwmon.discover(Roots(sysfs=str(sysfs)))


def only(sysfs):
    (probe,) = discover(sysfs).probes
    return probe


def readings(*probes):
    """Every value of the probes by (device, domain, metric); fails if two channels share a key."""
    read = {}
    for probe in probes:
        for channel, value in zip(probe.channels, probe.read(0), strict=True):
            key = (channel.device.id, channel.domain, channel.metric)
            if key in read:
                raise AssertionError(key)
            read[key] = value
    return read


def watts(probe):
    read = readings(probe).items()
    return {domain: value for (_, domain, metric), value in read if metric == "power_watts"}


def channel(probe, domain, metric="power_watts"):
    (match,) = [c for c in probe.channels if c.domain == domain and c.metric == metric]
    return match


def outer(probe, domain, metric="power_watts"):
    return channel(probe, domain, metric).contained_in
