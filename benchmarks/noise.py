"""Noise of repeats as hosts show it, with the mean that an interval should contain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Drawn = tuple[NDArray[np.float64], NDArray[np.float64]]

AR_CORRELATION = 0.9
OUTLIER_SHARE, OUTLIER_SIZE = 0.05, 0.2
DRIFT_PER_REPEAT = 0.0005
DWELL_REPEATS = 20
_QUIET = 0.2
"""The spread within one state of a clock, as a share of the difference between the states."""


@dataclass(frozen=True, slots=True)
class Noise:
    """One kind of noise. `draw(generator, runs, repeats, spread)` returns values of runs and their true means so far.

    The values have the mean 1, or drift from it. `spread` is their standard deviation, without outliers and drift. The
    true mean of a run depends on its number of repeats if it is that of the measured span, so each repeat has one.
    """

    name: str
    truth: str
    draw: Callable[[np.random.Generator, int, int, float], Drawn]


def _constant(values: NDArray[np.float64], truth: float = 1.0) -> Drawn:
    return values, np.full_like(values, truth)


def _so_far(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(levels, axis=1) / np.arange(1, levels.shape[1] + 1)


def _iid(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
    return _constant(1 + spread * generator.standard_normal((runs, repeats)))


def _lognormal(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
    sigma = np.sqrt(np.log1p(spread**2))
    return _constant(np.exp(sigma * generator.standard_normal((runs, repeats)) - sigma**2 / 2))


def _autoregressive(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
    values = generator.standard_normal((runs, repeats))
    for number in range(1, repeats):
        values[:, number] *= np.sqrt(1 - AR_CORRELATION**2)
        values[:, number] += AR_CORRELATION * values[:, number - 1]
    return _constant(1 + spread * values)


def _drift(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
    levels = np.tile(1 + DRIFT_PER_REPEAT * np.arange(repeats), (runs, 1))
    return levels + spread * generator.standard_normal((runs, repeats)), _so_far(levels)


def _states(generator: np.random.Generator, runs: int, repeats: int, dwell: float) -> NDArray[np.float64]:
    """Return a clock of two states, -1 and 1, that is left after `dwell` repeats in the mean."""
    changes = generator.random((runs, repeats)) < 1 / dwell
    first = generator.integers(0, 2, (runs, 1))
    return 2.0 * ((np.cumsum(changes, axis=1) + first) % 2) - 1


def _two_states(dwell: float) -> Callable[[np.random.Generator, int, int, float], Drawn]:
    def draw(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
        levels = 1 + spread * _states(generator, runs, repeats, dwell)
        values = levels + 2 * _QUIET * spread * generator.standard_normal((runs, repeats))
        return (values, _so_far(levels)) if dwell > 2 else _constant(values)  # noqa: PLR2004  2 forgets its state

    return draw


def _outliers(generator: np.random.Generator, runs: int, repeats: int, spread: float) -> Drawn:
    outliers = OUTLIER_SIZE * (generator.random((runs, repeats)) < OUTLIER_SHARE)
    values = 1 + spread * generator.standard_normal((runs, repeats)) + outliers
    return _constant(values, 1 + OUTLIER_SHARE * OUTLIER_SIZE)


LONG_RUN, SPAN = "the mean of a run without end", "the mean over the measured span"
NOISES = (
    Noise("iid normal", LONG_RUN, _iid),
    Noise("lognormal", LONG_RUN, _lognormal),
    Noise(f"AR(1) {AR_CORRELATION:g}", LONG_RUN, _autoregressive),
    Noise(f"drift of {100 * DRIFT_PER_REPEAT:g} % a repeat", SPAN, _drift),
    Noise("two-state clock, 2 repeats", LONG_RUN, _two_states(2)),
    Noise(f"two-state clock, {DWELL_REPEATS} repeats", SPAN, _two_states(DWELL_REPEATS)),
    Noise(f"outliers of {OUTLIER_SIZE:.0%} in {OUTLIER_SHARE:.0%}", LONG_RUN, _outliers),
)
