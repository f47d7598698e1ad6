"""The name of a model as a table shows it."""

from __future__ import annotations

from pathlib import PurePath

_MILLION = 1e6


def model_name(workload: str, model: object, parameter_count: int | None) -> str:
    """Return the name of a model: that of its file or server, or the number of its weights."""
    if model:
        return PurePath(str(model)).name
    return workload if parameter_count is None else f"{workload} of {parameter_count / _MILLION:.3g} M weights"
