"""The agreement of a model's outputs with those of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.model_record import Agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray


def agreement(reference_name: str, scores: NDArray[np.float32], reference: NDArray[np.float32]) -> Agreement | None:
    """Compare scores [outputs, vocabulary] with those of a reference; None if they belong to another vocabulary."""
    if scores.shape != reference.shape:
        return None
    own, other = scores.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
    return Agreement(
        reference=reference_name,
        cosine_similarity=float(np.mean(np.sum(own * other, axis=1) / norms)),
        top1_agreement=float(np.mean(own.argmax(axis=1) == other.argmax(axis=1))),
        outputs=len(own),
    )
