"""The facts of a loaded model, for workloads whose points run different models."""

from __future__ import annotations

import msgspec


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agreement of a model's outputs with those of the `reference` precision, on the same inputs.

    `cosine_similarity` is the mean over the `outputs` compared vectors. `top1_agreement` is the share of vectors whose
    largest element has the same index, None for outputs that are not scores of classes.
    """

    reference: str
    cosine_similarity: float
    top1_agreement: float | None
    outputs: int


class LoadedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A loaded model: its precision, size, and the time that the engine took to load it.

    `load_start_ns` is on CLOCK_MONOTONIC. The number of parameters and the bytes of the weights are None if unknown.
    `computes_in` is the precision in which the engine computes with the weights, None if it does not report it.
    """

    precision: str | None
    parameters: int | None
    model_bytes: int | None
    load_start_ns: int
    load_seconds: float
    agreement: Agreement | None = None
    computes_in: str | None = None

    @property
    def load_end_ns(self) -> int:
        """The end of the load on CLOCK_MONOTONIC."""
        return self.load_start_ns + round(self.load_seconds * 1e9)
