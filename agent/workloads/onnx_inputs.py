"""Makes up inputs for a model: settles the sizes it leaves open, and fills them by element type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.errors import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_FLOATS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
_INTEGERS = {f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input as the model declares it: `element` is the engine's word for its type, such as `tensor(float)`.

    `sizes` are numbers, or the model's own word for a size it leaves open (empty where it has none). No sizes at all
    is a scalar, or a model that does not say.
    """

    name: str
    element: str
    sizes: tuple[int | str, ...]

    @property
    def open_first(self) -> bool:
        """Whether the first size is open and no other is: a batch."""
        return [isinstance(size, str) for size in self.sizes] == [True] + [False] * (len(self.sizes) - 1)

    @property
    def shown(self) -> str:
        """The declared shape, for a message: `[batch, 3, 224, 224]`."""
        return f"[{', '.join(str(size) or '?' for size in self.sizes)}]"


def declared_inputs(entries: Sequence[Any]) -> tuple[ModelInput, ...]:
    """Return the inputs a session names (`get_inputs`)."""
    return tuple(
        ModelInput(
            entry.name,
            entry.type,
            tuple(size if isinstance(size, int) and size >= 0 else str(size or "") for size in entry.shape),
        )
        for entry in entries
    )


def settled_shapes(
    inputs: Sequence[ModelInput], given: Mapping[str, tuple[int, ...]], batch: int
) -> tuple[tuple[int, ...], ...]:
    """Return a shape for every input: as given, or as declared with an open first size filled by the batch.

    Raises WorkloadError naming the input and the option for a shape that is missing, does not fit or fits no input.
    """
    names = [declared.name for declared in inputs]
    for name in given:
        if name not in names:
            raise WorkloadError(f"--shape {name}: the model has no such input", f"its inputs are {', '.join(names)}")
    return tuple(_settled(declared, given.get(declared.name), batch) for declared in inputs)


def _settled(declared: ModelInput, given: tuple[int, ...] | None, batch: int) -> tuple[int, ...]:
    if given is not None:
        return _fitting(declared, given)
    if declared.open_first:
        return (batch, *(size for size in declared.sizes if isinstance(size, int)))
    fixed = tuple(size for size in declared.sizes if isinstance(size, int))
    if len(fixed) < len(declared.sizes):
        raise WorkloadError(
            f"the input {declared.name!r} has the shape {declared.shown}, which leaves sizes open",
            f"give it with --shape {_wanted(declared)}, a number in place of each <word>",
        )
    return fixed


def _fitting(declared: ModelInput, given: tuple[int, ...]) -> tuple[int, ...]:
    fits = not declared.sizes or (
        len(given) == len(declared.sizes)
        and all(isinstance(size, str) or size == asked for size, asked in zip(declared.sizes, given, strict=True))
    )
    if not fits:
        raise WorkloadError(
            f"--shape {declared.name}={'x'.join(map(str, given))}: the model declares {declared.shown}",
            f"give --shape {_wanted(declared)}, a number in place of each <word>",
        )
    return given


def _wanted(declared: ModelInput) -> str:
    words = [str(size) if isinstance(size, int) else f"<{size or 'size'}>" for size in declared.sizes]
    if words and isinstance(declared.sizes[0], str):
        words[0] = "1"
    return f"{declared.name}={'x'.join(words)}"


def made_up(declared: ModelInput, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    """Return values for an input: standard normal floats; 0 and 1 for integers, which index any table and mask.

    Raises WorkloadError for an element type that cannot be made up.
    """
    if declared.element in _FLOATS:
        return np.asarray(random.standard_normal(shape), _FLOATS[declared.element])
    if declared.element in _INTEGERS:
        return np.asarray(random.integers(0, 2, shape), _INTEGERS[declared.element])
    if declared.element == "tensor(bool)":
        return np.asarray(random.integers(0, 2, shape), np.bool_)
    raise WorkloadError(
        f"the input {declared.name!r} wants {declared.element}, which cannot be made up",
        "export the model with inputs of floats, integers or booleans",
    )
