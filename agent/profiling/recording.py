"""Samples a host's probes for the length of a run or a measurement, and hands every tick to one place."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.clock import Wakefulness
from agent.profiling.periods import dense_period_seconds, run_period_seconds, trailing_seconds
from agent.realtime import keep_up, prompt
from agent.recorder import Recorder
from agent.sampler import Paced, Sampler
from probes.model import ENERGETIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.clock import Timebase
    from agent.realtime import Realtime
    from probes.model import Probe
    from store.records import Layout, Tick

_LONGEST_WAIT_SECONDS = 5.0
_TRIES = 3


class Recording:
    """A sampler at work; `beat_seconds` is the slowest beat of a probe that measures energy or power."""

    def __init__(self, sampler: Sampler, recorder: Recorder, timebase: Timebase) -> None:
        self._timebase = timebase
        self.sampler = sampler
        self.recorder = recorder
        self._states = sampler.states
        self._measuring = [
            (state, layout.channels)
            for layout, state in zip(sampler.layouts, self._states, strict=True)
            if any(channel.metric in ENERGETIC for channel in layout.channels)
        ]
        self.beat_seconds = max((state.period_seconds for state, _ in self._measuring), default=0.0)

    @property
    def realtime(self) -> Realtime:
        """How the thread is scheduled that reads files; known from the first tick on."""
        return self.sampler.realtime

    def edge(self) -> None:
        """Read at the high rate from now until every sensor has been refreshed: an edge of a window is now, or soon."""
        seconds = max(
            (trailing_seconds(channels, state.period_seconds) for state, channels in self._measuring), default=0.0
        )
        self.sampler.high_rate_until(time.monotonic_ns() + round(seconds * 1e9))

    def wait_for_first_ticks(self) -> None:
        """Return when every probe has been read, and every sensor of power long enough for a window to start.

        One that fails, is lost or hangs is not waited for, or not for long.
        """
        _wait(lambda: all(state.ticks or state.lost or state.failed >= _TRIES for state in self._states))
        self.edge()
        self._wait_for_refreshes()

    def wait_for_last_ticks(self) -> None:
        """Go on reading until every sensor has shown what belongs to a window that ends now."""
        self._wait_for_refreshes()

    def _wait_for_refreshes(self) -> None:
        """Return when every sensor of power has been refreshed and read since."""
        now_ns = self._timebase.now_ns()
        wanted = [
            (state, now_ns + round(trailing_seconds(channels, state.period_seconds) * 1e9), state.failed + _TRIES)
            for state, channels in self._measuring
        ]
        _wait(
            lambda: all(
                state.lost or state.last_success_ns > until_ns or state.failed >= most_failed
                for state, until_ns, most_failed in wanted
            )
        )


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.005)


def _nothing() -> None:
    """Let the recording go on without samples: whoever measures will miss them."""


@contextmanager
def recording(
    layouts: Sequence[Layout],
    probes: Sequence[Probe],
    timebase: Timebase,
    take: Callable[[Sequence[Tick]], None],
) -> Iterator[Recording]:
    """Sample the probes inside the block; `take` has every tick when the block is left.

    What the layouts' channels say of their sensors sets the pace. Once the host has slept nothing is read any more: no
    window that holds a sleep, or comes after it, has an energy.

    Raises what `take` raised last, if its ticks could not be handed over in the end.
    """
    errors: list[Exception] = []
    paced = [
        Paced(
            layout,
            probe,
            run_period_seconds(layout.channels),
            dense_period_seconds(layout.channels),
        )
        for layout, probe in zip(layouts, probes, strict=True)
    ]
    sampler = Sampler(paced, timebase, realtime=True, slept=Wakefulness(timebase, _nothing).slept)
    recorder = Recorder(sampler.take, take, on_error=errors.append, enter=keep_up)
    at_work = Recording(sampler, recorder, timebase)
    with prompt():
        recorder.start()
        sampler.start(recorder.beat)
        try:
            yield at_work
        finally:
            sampler.stop()
            recorder.stop()
    if recorder.failed and errors:
        raise errors[-1]
