"""Makes hwmon chips in a simulated tree, with files that hang, and reads their probes by key."""

import contextlib
import os

from probes.hwmon import probe as hwmon
from probes.model import Roots
from trees import hwmon_chip

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


def card(sysfs, index=0):
    """Make a GPU with an energy counter, a power gauge and a temperature, and return its folder."""
    values = {"name": "xe", "temp2_input": 46_000, "energy1_input": 5_000_000, "energy1_label": "card"}
    return hwmon_chip(sysfs, index, GPU, values | {"power1_input": 40_000_000, "power1_label": "card"}, "xe")


def hang(path):
    """Replace a file by a pipe: opening it waits for a writer."""
    path.unlink()
    os.mkfifo(path)
    return path


def release(*paths):
    """End the threads that wait for pipes; several may wait for one."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
