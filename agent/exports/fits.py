"""Least-squares fits without negative coefficients, with their quality; needs NumPy and SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Fit:
    """The coefficients of a fit, and the share of the variance that it explains; None if the values do not vary."""

    coefficients: tuple[float, ...]
    r_squared: float | None

    def predicted(self, rows: Sequence[Sequence[float]]) -> list[float]:
        """Return the fitted values of rows of factors."""
        return [sum(map(mul, row, self.coefficients)) for row in rows]


def fit(rows: Sequence[Sequence[float]], values: Sequence[float]) -> Fit:
    """Return the coefficients from 0 on that fit `values` best by relative error (Lawson and Hanson, 1974).

    Each row has the factors of the coefficients. The values must be above 0.
    """
    import numpy as np  # noqa: PLC0415  slow, and of an extra
    from scipy.optimize import nnls  # noqa: PLC0415  same

    factors, observed = np.asarray(rows, float), np.asarray(values, float)
    scale = np.max(np.abs(factors), axis=0)
    scale[scale == 0] = 1.0
    found, _ = nnls(factors / scale / observed[:, None], np.ones(len(observed)))
    coefficients = tuple(map(float, found / scale))
    return Fit(coefficients, r_squared(values, (factors @ np.asarray(coefficients)).tolist()))


def r_squared(observed: Sequence[float], predicted: Sequence[float]) -> float | None:
    """Return the share of the variance that the predictions explain, None if the values do not vary."""
    mean = sum(observed) / len(observed)
    total = sum((value - mean) ** 2 for value in observed)
    if not total:
        return None
    return 1 - sum((value - guess) ** 2 for value, guess in zip(observed, predicted, strict=True)) / total
