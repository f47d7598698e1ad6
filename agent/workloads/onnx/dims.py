"""The named dimensions of a model: the sizes that --dim gives them, and the one that is the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.runtime.console import printable_line
from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.workloads.onnx.inputs import ModelInput


def batch_dimension(inputs: Sequence[ModelInput]) -> str | None:
    """Return the named dimension that is the batch: the first of every input, and nowhere else. None without one."""
    first = {declared.sizes[0] if declared.sizes else "" for declared in inputs}
    name = first.pop() if len(first) == 1 else ""
    others = {size for declared in inputs for size in (declared.sizes or ())[1:]}
    return name if isinstance(name, str) and name and name not in others else None


def check_names(inputs: Sequence[ModelInput], dims: Iterable[str]) -> None:
    """Raise WorkloadError if no input has a dimension of this name."""
    known = [size for declared in inputs for size in declared.sizes or () if isinstance(size, str) and size]
    names = ", ".join(printable_line(name) for name in dict.fromkeys(known))
    for name in dims:
        if name not in known:
            raise WorkloadError(
                f"--dim {name}: no input of the model has a dimension of this name",
                f"its named dimensions are {names}" if names else "it names none: give sizes with --shape",
            )


def check_batch(name: str, size: int, *, has_batch: bool) -> None:
    """Raise WorkloadError if a size of the batch is 0, or --batch sets it too."""
    if has_batch:
        raise WorkloadError(f"--dim {name}: this dimension is the batch, which --batch sets too", "give one of them")
    if size < 1:
        raise WorkloadError(f"--dim {name}={size}: this dimension is the batch", "give sizes of at least 1")


def check_shapes(inputs: Sequence[ModelInput], dims: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise WorkloadError if --shape gives a dimension another size than --dim."""
    for declared in inputs:
        for name, size in zip(declared.sizes or (), shapes.get(declared.name, ()), strict=False):
            if isinstance(name, str) and dims.get(name, size) != size:
                raise WorkloadError(
                    f"--dim {name}={dims[name]}: --shape gives this dimension of {declared.name} the size {size}",
                    "give both the same size, or leave out one of the options",
                )
