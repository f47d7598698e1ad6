"""Power over time with exactly known energy: constant, square, bursts of tokens, a step."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

IDLE_WATTS, BUSY_WATTS, LIMIT_WATTS = 80.0, 300.0, 350.0
"""Idle power, busy power and power limit of the simulated device."""


@dataclass(frozen=True)
class Waveform:
    """Power in watts, constant between the moments `times` (seconds, from 0); before and after it is constant."""

    times: tuple[float, ...]
    watts: tuple[float, ...]
    joules_until: tuple[float, ...]

    @classmethod
    def of(cls, steps: list[tuple[float, float]]) -> Waveform:
        """Make a waveform of consecutive (seconds, watts)."""
        lengths = [seconds for seconds, _ in steps[:-1]]
        times = tuple(accumulate(lengths, initial=0.0))
        energies = (seconds * watts for seconds, watts in steps[:-1])
        return cls(times, tuple(watts for _, watts in steps), tuple(accumulate(energies, initial=0.0)))

    def joules(self, until: float) -> float:
        """Return the energy from 0 to a moment, exactly (negative before 0)."""
        at = max(0, bisect_right(self.times, until) - 1)
        return self.joules_until[at] + self.watts[at] * (until - self.times[at])


def constant(random: Random, _seconds: float) -> Waveform:
    """Constant power."""
    return Waveform.of([(1.0, random.uniform(IDLE_WATTS, BUSY_WATTS))])


def square(hertz: float) -> Callable[[Random, float], Waveform]:
    """Idle and busy alternately, half of the time each."""

    def drawn(random: Random, seconds: float) -> Waveform:
        half = 0.5 / hertz
        first = random.random() * half
        turns = chain.from_iterable(repeat(((half, BUSY_WATTS), (half, IDLE_WATTS)), round(seconds * hertz) + 2))
        return Waveform.of([(first, IDLE_WATTS), *turns])

    return drawn


def language_model(random: Random, seconds: float) -> Waveform:
    """Requests after mean pauses of 0.15 s: a prefill at full power, then tokens, with the GPU waiting in each."""
    steps: list[tuple[float, float]] = []
    total = 0.0
    while total < seconds:
        steps.append((random.expovariate(1 / 0.15) + 0.005, IDLE_WATTS))
        steps.append((random.uniform(0.03, 0.25), BUSY_WATTS * 1.05))
        token, watts = random.uniform(0.015, 0.04), random.uniform(200.0, 280.0)
        request = [(0.8 * token, watts), (0.2 * token, 110.0)] * random.randint(10, 60)
        steps += request
        total += sum(length for length, _ in request)
    return Waveform.of(steps)


def step(random: Random, seconds: float) -> Waveform:
    """Idle, then busy from a random moment on."""
    return Waveform.of([(random.uniform(0, seconds), IDLE_WATTS), (1.0, BUSY_WATTS)])


WAVEFORMS: Mapping[str, Callable[[Random, float], Waveform]] = {
    "constant": constant,
    "square 7.3 Hz": square(7.3),
    "square 10 Hz": square(10.0),
    "language model": language_model,
    "step": step,
}
"""Each function makes its waveform for a number of seconds from a random generator."""
