"""A host made of files, programs or libraries, whose hardware the checks move, break, remove and suspend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from probes.model import Probe, Roots

Key = tuple[str, str]
"""The path (`device/domain`) and the metric of a channel."""


class NotOfferedError(Exception):
    """The fake host cannot do this; the check that needs it is reported as not exercised."""


class FakeHost:
    """One host with the sensors of one family. A subclass overrides the methods that its hardware offers.

    `roots` and `settings` are those of the discovery. Every other method raises NotOfferedError here. Every check gets
    a new host. Two reads are `step_seconds` apart in the time that the probe receives, so it exceeds the minimum
    interval of the probe.

    `containers` are the places (device id, domain) of other families that contain sensors of this one. `constants` are
    the channels whose values come from discovery and which no fault of a read affects. `own_threads` are the beginnings
    of the names of threads that the host itself starts and that end only with it.
    """

    step_seconds = 1.0
    containers: frozenset[tuple[str, str]] = frozenset()
    constants: frozenset[Key] = frozenset()
    own_threads: tuple[str, ...] = ()

    def __init__(self, roots: Roots, settings: SensorSettings = ALL_SENSORS) -> None:
        self.roots = roots
        self.settings = settings

    def attach(self, probes: Sequence[Probe]) -> None:
        """Receive the probes of every discovery; a host that breaks open files needs them."""

    def truth(self) -> Mapping[Key, float]:
        """Return the present value of the hardware for channels by path and metric, in SI units.

        A counter is the total since the host was made, without wraps and resets: only its growth is compared.
        """
        raise NotOfferedError("truth")

    def advance(self, seconds: float) -> None:  # noqa: ARG002  a subclass uses it
        """Let the hardware work for this time: its counters grow."""
        raise NotOfferedError("advance")

    def approach_wrap(self) -> None:
        """Set each counter that wraps to a value from which it wraps within the next step."""
        raise NotOfferedError("approach_wrap")

    def reset(self) -> None:
        """Start each counter again from 0, as a reload of the driver does."""
        raise NotOfferedError("reset")

    def blank(self) -> Iterator[str]:
        """Make every sensor report that it has no value; yield the report after each change."""
        raise NotOfferedError("blank")

    def garble(self) -> Iterator[str]:
        """Make every sensor report something that is no value; yield a description after each change."""
        raise NotOfferedError("garble")

    def refuse(self) -> None:
        """Let every read of a sensor fail, also those of discovery."""
        raise NotOfferedError("refuse")

    def hang(self) -> None:
        """Let every read of a sensor wait until `repair`, also those of discovery."""
        raise NotOfferedError("hang")

    def repair(self) -> None:
        """End `blank`, `garble`, `refuse` and `hang`; the sensors have their values again."""
        raise NotOfferedError("repair")

    def unplug(self) -> None:
        """Remove the device."""
        raise NotOfferedError("unplug")

    def replug(self) -> None:
        """Return the removed device, with its counters at 0."""
        raise NotOfferedError("replug")

    def renumber(self) -> None:
        """Give the same devices other numbers, as a reboot does, in the order of their discovery too if it can."""
        raise NotOfferedError("renumber")

    def suspend(self) -> None:
        """Let the kernel suspend the devices, and forget all accesses so far."""
        raise NotOfferedError("suspend")

    def touched(self) -> Sequence[str]:
        """Return the accesses to sensors since `suspend` that wake a device."""
        raise NotOfferedError("touched")

    def written(self) -> Sequence[str]:
        """Return the requests so far that change a setting of the device; writes to files are found without it."""
        raise NotOfferedError("written")

    def close(self) -> None:
        """End the processes and threads of the host."""
