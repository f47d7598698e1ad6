"""The inputs of a model at the points of a run: their shapes, their values, and every refusal that needs no session."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from agent.workloads.axes import at_point
from agent.workloads.errors import WorkloadError
from agent.workloads.input_spec import InputFacts
from agent.workloads.limits import require_memory
from agent.workloads.onnx import dims as named_dims
from agent.workloads.onnx.input_files import read_input
from agent.workloads.onnx.input_values import from_text, synthetic
from agent.workloads.onnx.inputs import (
    InputArray,
    check_names,
    feed,
    parse_declared_inputs,
    resolved_shapes,
    supports_batches,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from agent.workloads.onnx.inputs import DeclaredInput, ModelInput
    from agent.workloads.onnx.spec import OnnxSpec
    from agent.workloads.point import Point


@dataclass(frozen=True, slots=True)
class PointInputs:
    """The inputs at one point, each with its shape; `batched` if their first dimension is the batch."""

    batch: int
    batched: bool
    shapes: tuple[tuple[ModelInput, tuple[int, ...]], ...]


class ModelInputs:
    """The inputs that a model declares, with the options of a run.

    A model takes batches if every input leaves its first size open and no shape is given with --shape. A dimension of
    --dim that is the first of every input is the batch too. Raises WorkloadError that names the option.
    """

    def __init__(self, spec: OnnxSpec, declared: Sequence[DeclaredInput]) -> None:
        self.spec = spec
        self.declared = parse_declared_inputs(declared)
        check_names(self.declared, "--shape", list(spec.shapes))
        check_names(self.declared, "--input", list(spec.inputs))
        named_dims.check_names(self.declared, spec.dims)
        self.arrays = {each.name: self._given(each) for each in self.declared if each.name in spec.inputs}
        inputs, _ = self._sized(spec)
        shapes = resolved_shapes(inputs, spec.shapes, self.arrays, 1)
        self.facts = tuple(self._facts(each, shape) for each, shape in zip(inputs, shapes, strict=True))

    def at(self, parameters: Point) -> PointInputs:
        """Return the inputs of a point. Raises WorkloadError if the model takes no such batch or memory is short."""
        spec = at_point(self.spec, parameters)
        inputs, batch = self._sized(spec, has_batch="batch" in parameters.keys() - spec.dims.keys())
        batched = supports_batches(inputs, spec.shapes, self.arrays)
        if batch != 1 and not batched:
            shapes = ", ".join(f"{declared.name} {declared.shown}" for declared in inputs) or "no inputs"
            raise WorkloadError(
                f"--batch {batch}: {self.spec.model.name} has no open batch dimension, or --shape sets it ({shapes})",
                "choose --batch 1, and put the batch into --shape if the model takes one",
            )
        resolved = resolved_shapes(inputs, spec.shapes, self.arrays, batch)
        shaped = tuple(zip(inputs, resolved, strict=True))
        input_bytes = sum(prod(shape) * declared.element.dtype.itemsize for declared, shape in shaped)
        require_memory(input_bytes, f"the input of a batch of {batch}", "choose a smaller --batch, --shape or --dim")
        return PointInputs(batch, batched, shaped)

    def check(self, parameters: Point) -> None:
        """Raise WorkloadError if the inputs of a point cannot be made."""
        point = self.at(parameters)
        for declared, shape in point.shapes:
            if declared.name in self.arrays:
                feed(declared, shape, self.arrays[declared.name], batched=point.batched)

    def values(
        self, declared: ModelInput, shape: tuple[int, ...], random: np.random.Generator, *, batched: bool
    ) -> NDArray[Any]:
        """Return the given values of an input in this shape, else synthetic ones."""
        array = self.arrays.get(declared.name)
        if array is None:
            return synthetic(declared.element, shape, random)
        return feed(declared, shape, array, batched=batched)

    def _sized(self, spec: OnnxSpec, *, has_batch: bool = False) -> tuple[tuple[ModelInput, ...], int]:
        """Return the inputs with the sizes of --dim filled in, except that of the batch, and the size of the batch."""
        dims, batch = dict(spec.dims), spec.batch
        named_dims.check_shapes(self.declared, dims, spec.shapes)
        name = named_dims.batch_dimension(self.declared)
        if name in dims and not spec.shapes:
            batch = dims.pop(name)
            named_dims.check_batch(name, batch, has_batch=has_batch)
        return tuple(declared.sized(dims) for declared in self.declared), batch

    def _given(self, declared: ModelInput) -> InputArray:
        given = self.spec.inputs[declared.name]
        if given.file is not None:
            values, digest = read_input(declared.name, given.file, given, declared.element)
            return InputArray(values, digest, from_file=True)
        values = from_text(declared.name, given.text or "", declared.element)
        return InputArray(values, hashlib.sha256(values.tobytes()).hexdigest(), from_file=False)

    def _facts(self, declared: ModelInput, shape: tuple[int, ...]) -> InputFacts:
        array = self.arrays.get(declared.name)
        if array is None:
            return InputFacts(declared.name, declared.element.name, shape, "synthetic", None)
        own = tuple(array.values.shape) if array.from_file else shape
        return InputFacts(declared.name, declared.element.name, own, "given", array.sha256)
