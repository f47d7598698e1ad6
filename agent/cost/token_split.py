"""The share of the cost of a request that its input tokens cause, by the best method that the measurements allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

Method = Literal["regression", "phases", "compute_time", "multiplier"]

OUTPUT_WEIGHT = 2.5
"""The input tokens that cost as much as an output token, if nothing better is known."""
_FEWEST_LENGTHS = 3
_WORST_CONDITION = 30.0
"""The condition number of the scaled columns above which coefficients are not separable."""


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A method that the measurements do not allow, with the reason."""

    method: Method
    reason: str


class TokenSplit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of a request's cost for its input tokens that were not cached; output tokens bear the rest."""

    method: Method
    input_share: float
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """The tokens of a request (without cached input), its energy in joules, and the machine time of one in seconds."""

    input_tokens: float
    output_tokens: float
    joules: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SplitInputs:
    """The measurements of a request: its tokens, other lengths at the same load, and its prefill and decode.

    `phase_joules` are the energies of prefill and decode from separate windows, `phase_seconds` their times; None if
    they are not known.
    """

    own: Lengths
    others: tuple[Lengths, ...]
    phase_joules: tuple[float, float] | None
    phase_seconds: tuple[float, float] | None


def split_tokens(inputs: SplitInputs) -> TokenSplit | None:
    """Return the split by the first method that is possible; None for work without input or without output tokens."""
    own = inputs.own
    if own.input_tokens <= 0 or own.output_tokens <= 0:
        return None
    refused: list[Refusal] = []
    fitted = _regression((own, *inputs.others))
    if not isinstance(fitted, str):
        per_input, per_output = fitted
        whole = per_input * own.input_tokens + per_output * own.output_tokens
        return TokenSplit("regression", per_input * own.input_tokens / whole, ())
    refused.append(Refusal("regression", fitted))
    if inputs.phase_joules is not None and sum(inputs.phase_joules) > 0:
        return TokenSplit("phases", inputs.phase_joules[0] / sum(inputs.phase_joules), tuple(refused))
    refused.append(Refusal("phases", "prefill and decode were not measured in separate windows"))
    if inputs.phase_seconds is not None and sum(inputs.phase_seconds) > 0:
        return TokenSplit("compute_time", inputs.phase_seconds[0] / sum(inputs.phase_seconds), tuple(refused))
    refused.append(Refusal("compute_time", "the times of prefill and decode are not known"))
    weighted = own.input_tokens + OUTPUT_WEIGHT * own.output_tokens
    return TokenSplit("multiplier", own.input_tokens / weighted, tuple(refused))


def _regression(points: Sequence[Lengths]) -> tuple[float, float] | str:
    """Return the joules of an input and of an output token, or the reason why they cannot be separated.

    Non-negative least squares of the energy of a request: P0 * time + e_request + e_in * inputs + e_out * outputs. The
    constant of a request is left out if it cannot be separated from the time, as at a fixed rate.
    """
    inputs = {round(point.input_tokens) for point in points}
    outputs = {round(point.output_tokens) for point in points}
    if min(len(inputs), len(outputs)) < _FEWEST_LENGTHS or len(points) < _FEWEST_LENGTHS**2:
        return (
            f"it needs {_FEWEST_LENGTHS} lengths of prompts times {_FEWEST_LENGTHS} of outputs at one load; these are "
            f"{len(inputs)} times {len(outputs)} in {len(points)} points"
        )
    try:
        import numpy as np  # noqa: PLC0415  slow to import, and an extra
        from scipy.optimize import nnls  # noqa: PLC0415  same
    except ImportError:
        return "it needs NumPy and SciPy: pip install 'inferometer[planning]'"
    whole = np.array([[point.seconds, 1.0, point.input_tokens, point.output_tokens] for point in points])
    joules = np.array([point.joules for point in points])
    condition = float("inf")
    for columns in (whole, whole[:, (0, 2, 3)]):
        scaled = columns / np.linalg.norm(columns, axis=0)
        condition = float(np.linalg.cond(scaled))
        if condition <= _WORST_CONDITION:
            weights, _ = nnls(scaled, joules)
            per_input, per_output = (weights / np.linalg.norm(columns, axis=0))[-2:]
            if per_input <= 0 or per_output <= 0:
                return "the energy does not rise with both the input and the output tokens"
            return float(per_input), float(per_output)
    return f"lengths and times rise together, so tokens cannot be separated (condition number {condition:.0f})"
