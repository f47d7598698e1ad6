"""A fake probe, and a sampler that reads it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.runtime.clock import Timebase
from agent.sampling.sampler import Sampler
from agent.sampling.schedule import ScheduledProbe
from probes.model import Channel, Device, Kind, Rejection
from store.records import Layout
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest


GPU = Device("GPU-1", Kind.GPU)
CHANNELS = (Channel(GPU, "board", "energy_joules"), Channel(GPU, "board", "power_watts"))
GOOD = (1.0, 2.0)


class FakeProbe:
    """Returns or raises the result of `answer` for the number of the read; 0 is the first."""

    channels = CHANNELS

    def __init__(
        self,
        answer: Callable[[int], Sequence[float]] = lambda _: GOOD,
        name: str = "fake",
        *,
        files_only: bool = False,
    ) -> None:
        self.name = name
        self.files_only = files_only
        self.rejections: list[Rejection] = []
        self.reads = 0
        self._answer = answer

    def read(self, _at_ns: int) -> Sequence[float]:
        self.reads += 1
        return self._answer(self.reads - 1)

    def close(self) -> None:
        pass


def raising(*errors: BaseException | None) -> Callable[[int], Sequence[float]]:
    """Raise one error per read, or return good values for None and after the last error."""

    def answer(number: int) -> Sequence[float]:
        error = errors[number] if number < len(errors) else None
        if error:
            raise error
        return GOOD

    return answer


@contextmanager
def sampling(*probes: FakeProbe, period: float = 0.005, high: float = 0.0, queue_limit: int = 0) -> Iterator[Sampler]:
    paced = [
        ScheduledProbe(Layout(number, probe.name, probe.channels), probe, period, high)
        for number, probe in enumerate(probes, 1)
    ]
    sampler = Sampler(paced, Timebase.now(), queue_limit)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop(within_seconds=60.0)


def sampling_threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return sorted(name.removeprefix("sampling-") for name in names if name.startswith("sampling-"))


def paced_by(*settings: tuple[str, float, float, float]) -> list[ScheduledProbe]:
    """Return probes of files by (name, period, period at the high rate, time that a read takes), in seconds."""
    paced = []
    for number, (name, period, high, takes) in enumerate(settings):
        channel = replace(CHANNELS[0], read_seconds=takes)
        probe = FakeProbe(name=name, files_only=True)
        paced.append(ScheduledProbe(Layout(number, name, (channel, CHANNELS[1])), probe, period, high))
    return paced


def as_if_stuck(sampler: Sampler, number: int) -> None:
    """Wait for the read of a probe that hangs, and set its start back by two seconds."""
    state = sampler.states[number]
    await_true(lambda: state.reading_since_ns)
    state.reading_since_ns -= 2_000_000_000


def hanging_probe(release: threading.Event, name: str, hangs_from: int = 0) -> FakeProbe:
    return FakeProbe(lambda number: (number < hangs_from or release.wait(60)) and GOOD, name=name, files_only=True)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]
