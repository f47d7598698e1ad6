"""The agreement of a quantized model with the original: their outputs on the same inputs, compared vector by vector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.model_record import Agreement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]

_SCORES = re.compile(r"logit|prob|score|class|softmax", re.IGNORECASE)
_ROWS, _POSITIONS = 2, 3  # the dimensions of [batch, classes] and of [batch, positions, classes]
_SUM_TOLERANCE = 0.01


def agreement(reference: str, originals: Outputs, others: Outputs) -> Agreement | None:
    """Return the agreement of outputs with those of the original, by name; None if nothing can be compared.

    A vector is a row of the last dimension of an output of floats, or a whole map if the output has four dimensions or
    more. An output of single numbers is one vector. Vectors that are missing, or have another shape, have the
    similarity 0.
    """
    cosines, matches = [], []
    for name, values in originals.items():
        if not np.issubdtype(values.dtype, np.floating) or values.size < _ROWS:
            continue
        other = others.get(name)
        expected = _vectors(values)
        if other is None or other.shape != values.shape:
            cosines.append(np.zeros(len(expected)))
            continue
        found = _vectors(other)
        cosines.append(_cosines(expected, found))
        if _is_scores(name, values):
            matches.append(expected.argmax(axis=1) == found.argmax(axis=1))
    if not cosines:
        return None
    each = np.concatenate(cosines)
    return Agreement(
        reference=reference,
        cosine_similarity=float(each.mean()),
        top1_agreement=float(np.concatenate(matches).mean()) if matches else None,
        outputs=len(each),
    )


def _vectors(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the vectors of an output as rows."""
    length = values.shape[-1]
    if values.ndim > _POSITIONS:
        length *= values.shape[-2]
    if length < _ROWS:
        length = values.size
    return np.asarray(values, np.float64).reshape(-1, length)


def _cosines(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows: 1 for two rows of zeros, 0 if only one of them has a direction."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines = np.sum(one * other, axis=1) / np.where(lengths > 0, lengths, 1)
    both_zero = ~one.any(axis=1) & ~other.any(axis=1)
    return np.where(both_zero, 1.0, np.nan_to_num(cosines, nan=0.0, posinf=0.0, neginf=0.0))


def _is_scores(name: str, values: NDArray[Any]) -> bool:
    """Return whether an output looks like scores of classes.

    Its shape is [batch, classes], or [batch, positions, classes] with the name of scores or with rows that sum to 1.
    """
    if values.shape[-1] < _ROWS or values.ndim not in {_ROWS, _POSITIONS}:
        return False
    sums = values.sum(axis=-1, dtype=np.float64)
    return bool(
        values.ndim == _ROWS
        or _SCORES.search(name)
        or ((values >= 0).all() and np.abs(sums - 1).max() < _SUM_TOLERANCE)
    )
