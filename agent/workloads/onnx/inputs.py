"""The inputs of an ONNX model: their declared shapes, their resolved shapes, and the arrays that fill them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.runtime.console import printable_line
from agent.workloads.errors import WorkloadError
from agent.workloads.onnx.input_values import element_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from agent.workloads.onnx.input_values import Element


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """One input in a model file.

    `type` is in the engine's words, such as `tensor(float)`. A size is a number, or the name of an open dimension,
    empty without a name; `sizes` is None without a declared shape.
    """

    name: str
    type: str
    sizes: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One input as the model declares it.

    A size is a number, or the model's name for an open dimension (empty if it has no name). `sizes` is None if the
    model declares no shape at all; an empty tuple is a scalar. `given` are the sizes of named dimensions that --dim
    has filled in, by position.
    """

    name: str
    element: Element
    sizes: tuple[int | str, ...] | None
    given: Mapping[int, str] = field(default_factory=dict, hash=False)

    def sized(self, dims: Mapping[str, int]) -> ModelInput:
        """Return the input with the sizes of named dimensions filled in."""
        sizes = self.sizes or ()
        given = {place: size for place, size in enumerate(sizes) if isinstance(size, str) and size in dims}
        filled = tuple(dims.get(size, size) if isinstance(size, str) else size for size in sizes)
        return replace(self, sizes=filled, given=given) if given else self

    @property
    def batched(self) -> bool:
        """Whether the first dimension is open, so that it can be the batch."""
        return bool(self.sizes) and isinstance((self.sizes or ("",))[0], str)

    @property
    def dynamic_size_count(self) -> int:
        """The number of sizes that the model leaves open."""
        return sum(isinstance(size, str) for size in self.sizes or ())

    @property
    def shown(self) -> str:
        """The declared shape, for a message: `[batch, 3, seq=128]`."""
        words = [printable_line(str(size)) or "?" for size in self.sizes or ()]
        for place, name in self.given.items():
            words[place] = f"{printable_line(name)}={words[place]}"
        return "no shape" if self.sizes is None else f"[{', '.join(words)}]"

    @property
    def example(self) -> str:
        """The argument of --shape with a word for each open size: `data=1x3x<height>x<width>`."""
        words = [
            str(size) if isinstance(size, int) else f"<{printable_line(size) or 'size'}>" for size in self.sizes or ()
        ]
        if self.batched:
            words[0] = "1"
        return f"{printable_line(self.name)}={'x'.join(words) or '<size>x<size>'}"


@dataclass(frozen=True, slots=True)
class InputArray:
    """The given values of an input. Values of the command line are broadcast, arrays of a file are not."""

    values: NDArray[Any]
    sha256: str
    from_file: bool


def parse_declared_inputs(entries: Sequence[DeclaredInput]) -> tuple[ModelInput, ...]:
    """Return the inputs of a model file.

    Raises WorkloadError for an input of a type that can be neither generated nor given.
    """
    return tuple(ModelInput(entry.name, element_of(entry.name, entry.type), entry.sizes) for entry in entries)


def check_names(inputs: Sequence[ModelInput], option: str, names: Sequence[str]) -> None:
    """Raise WorkloadError if an option names an input that the model lacks."""
    known = [declared.name for declared in inputs]
    for name in names:
        if name not in known:
            raise WorkloadError(
                f"{option} {name}: the model has no such input", f"its inputs are {', '.join(known) or 'none'}"
            )


def supports_batches(
    inputs: Sequence[ModelInput], shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, InputArray]
) -> bool:
    """Return whether the first dimension of every input is the batch.

    The model must leave it open, and all other sizes must be fixed or known from a given array. With --shape there is
    no batch.
    """
    return (
        not shapes
        and bool(inputs)
        and all(
            declared.batched
            and (declared.dynamic_size_count == 1 or _has_all_sizes(declared, arrays.get(declared.name)))
            for declared in inputs
        )
    )


def _has_all_sizes(declared: ModelInput, array: InputArray | None) -> bool:
    return array is not None and declared.sizes is not None and array.values.ndim == len(declared.sizes)


def resolved_shapes(
    inputs: Sequence[ModelInput], shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, InputArray], batch: int
) -> tuple[tuple[int, ...], ...]:
    """Return the shape of every input for a batch. Raises WorkloadError that names the input and the option."""
    batched = supports_batches(inputs, shapes, arrays)
    return tuple(
        _resolved_shape(declared, shapes.get(declared.name), arrays.get(declared.name), batch if batched else None)
        for declared in inputs
    )


def _resolved_shape(
    declared: ModelInput, asked: tuple[int, ...] | None, array: InputArray | None, batch: int | None
) -> tuple[int, ...]:
    if asked is not None:
        _check_fit(declared, asked, f"--shape {declared.name}={'x'.join(map(str, asked))}")
        return asked
    if declared.sizes is None:
        if array is not None:
            return tuple(array.values.shape)
        raise WorkloadError(
            f"the model declares no shape for the input {declared.name!r}",
            f"give it with --shape {declared.example} (a number in place of each <size>), or give its value with "
            f"--input {declared.name}=0, which is a scalar, or --input {declared.name}=FILE.npy",
        )
    if array is not None and (array.from_file or _has_all_sizes(declared, array)):
        shape = _shape_of_array(declared, array)
        return shape if batch is None else (batch, *shape[1:])
    first = 1 if batch is None else batch
    if declared.dynamic_size_count > (1 if declared.batched else 0):
        raise WorkloadError(
            f"the input {declared.name!r} has the shape {declared.shown}, which leaves sizes open",
            f"{_dims_example(declared)}give it with --shape {declared.example}, a number in place of each <word>",
        )
    return tuple(size if isinstance(size, int) else first for size in declared.sizes)


def _dims_example(declared: ModelInput) -> str:
    """Return the options of --dim for the open sizes, empty if one of them has no name."""
    sizes = (declared.sizes or ())[declared.batched :]
    names = [size for size in sizes if isinstance(size, str)]
    if not all(names):
        return ""
    return f"give {' '.join(f'--dim {printable_line(name)}=128' for name in dict.fromkeys(names))}, or "


def _shape_of_array(declared: ModelInput, array: InputArray) -> tuple[int, ...]:
    found = tuple(array.values.shape)
    sizes = declared.sizes or ()
    if array.from_file:
        _check_fit(declared, found, f"--input {declared.name}: its array is {_format_shape(found)}")
        return found
    return tuple(size if isinstance(size, int) else own for size, own in zip(sizes, found, strict=True))


def _check_fit(declared: ModelInput, shape: tuple[int, ...], subject: str) -> None:
    sizes = declared.sizes
    fits = sizes is None or (
        len(shape) == len(sizes)
        and all(isinstance(size, str) or size == asked for size, asked in zip(sizes, shape, strict=True))
    )
    if not fits:
        raise WorkloadError(
            f"{subject}: the model declares {declared.shown}",
            f"give --shape {declared.example}, a number in place of each <word>"
            if subject.startswith("--shape")
            else f"give an array of the shape {declared.shown}"
            + (", or other sizes with --dim" * bool(declared.given)),
        )


def feed(declared: ModelInput, shape: tuple[int, ...], array: InputArray, *, batched: bool) -> NDArray[Any]:
    """Return given values in the shape of an input; the first dimension of a batched input selects rows.

    Raises WorkloadError for too few rows, and for values that do not fit the shape.
    """
    values = array.values
    if batched and values.ndim == len(shape) and len(values) > 1:
        if len(values) < shape[0]:
            raise WorkloadError(
                f"a batch of {shape[0]}: --input {declared.name} has {len(values)} rows, one for each element",
                f"give one row, or at least {shape[0]}; or choose batches up to {len(values)}",
            )
        values = values[: shape[0]]
    if array.from_file and values.shape != shape and not (batched and values.shape[1:] == shape[1:]):
        raise _shape_error(declared, values.shape, shape)
    try:
        return np.array(np.broadcast_to(values, shape), order="C")
    except ValueError as error:
        raise _shape_error(declared, values.shape, shape) from error


def _shape_error(declared: ModelInput, found: tuple[int, ...], shape: tuple[int, ...]) -> WorkloadError:
    return WorkloadError(
        f"--input {declared.name}: values of the shape {_format_shape(found)} do not fit {_format_shape(shape)}",
        "give one number for all elements, or values of this shape",
    )


def _format_shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"
