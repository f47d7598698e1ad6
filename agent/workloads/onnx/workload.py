"""Runs any ONNX model: one `inference` is one run of its graph, or one element of a batch."""

from __future__ import annotations

import hashlib
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.axes import at_point
from agent.workloads.engines.onnxruntime import ENGINE, VERSION, Session, open_session
from agent.workloads.errors import CANNOT_RUN, WorkloadError, as_workload_error
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
from agent.workloads.onnx.model_file import read_model_file
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.onnx.inputs import ModelInput
    from agent.workloads.onnx.model_file import ModelFile
    from agent.workloads.onnx.spec import OnnxSpec
    from agent.workloads.point import Point


def load(spec: OnnxSpec, engine: EngineSpec) -> OnnxWorkload:
    """Check the model file and load it. Raises WorkloadError."""
    model = read_model_file(spec.model)
    require_memory(model.model_bytes, spec.label, "choose a smaller model, or a host with more memory")
    return OnnxWorkload(spec, engine, model, open_session(spec.model, engine))


class OnnxWorkload:
    """A model and its inputs.

    It takes batches if every input leaves its first size open and no shape is given with --shape. A dimension of --dim
    that is the first of every input is the batch too. Else an inference is one run of the graph.
    """

    def __init__(self, spec: OnnxSpec, engine: EngineSpec, model: ModelFile, session: Session) -> None:
        self.spec = spec
        self.session = session
        self.inputs = parse_declared_inputs(session.handle.get_inputs(), model.without_shape)
        self.outputs = [entry.name for entry in session.handle.get_outputs()]
        check_names(self.inputs, "--shape", list(spec.shapes))
        check_names(self.inputs, "--input", list(spec.inputs))
        named_dims.check_names(self.inputs, spec.dims)
        self.arrays = {each.name: self._given(each) for each in self.inputs if each.name in spec.inputs}
        inputs, _ = self._sized(spec)
        shapes = resolved_shapes(inputs, spec.shapes, self.arrays, 1)
        self.ready = Ready(
            engine=ENGINE,
            version=VERSION,
            provider=session.provider,
            threads=engine.threads,
            precision=model.precision,
            parameters=model.parameters,
            model_bytes=model.model_bytes,
            sha256=model.sha256,
            phases=spec.phases,
            load_seconds=session.load_seconds,
            inputs=tuple(self._facts(each, shape) for each, shape in zip(inputs, shapes, strict=True)),
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the inputs of a point and run them once. Raises WorkloadError if the model takes no such batch."""
        spec = at_point(self.spec, parameters)
        inputs, batch = self._sized(spec, has_batch="batch" in parameters.keys() - spec.dims.keys())
        batched = supports_batches(inputs, spec.shapes, self.arrays)
        if batch != 1 and not batched:
            shapes = ", ".join(f"{declared.name} {declared.shown}" for declared in inputs) or "no inputs"
            raise WorkloadError(
                f"--batch {batch}: {self.spec.model.name} has no open batch dimension, or --shape sets it ({shapes})",
                "choose --batch 1, and put the batch into --shape if the model takes one",
            )
        random = np.random.default_rng([self.spec.seed, batch])
        shapes_resolved = resolved_shapes(inputs, spec.shapes, self.arrays, batch)
        elements = sum(
            prod(shape) * declared.element.dtype.itemsize
            for declared, shape in zip(inputs, shapes_resolved, strict=True)
        )
        require_memory(elements, f"the input of a batch of {batch}", "choose a smaller --batch, --shape or --dim")
        feeds: dict[str, Any] = {}
        shared = []  # arrays whose memory the tensors use
        for declared, shape in zip(inputs, shapes_resolved, strict=True):
            values = self._values(declared, shape, random, batched=batched)
            feeds[declared.name] = self.session.tensor(values, declared.element.onnx_type)
            if declared.element.onnx_type is not None:
                shared.append(values)

        def infer(_steps: list[int], _shared: list[Any] = shared) -> None:
            self.session.run(feeds, self.outputs)

        try:
            infer([])
        except Exception as error:
            integers = [each.name for each in self.inputs if each.element.kind == "integer"]
            raise as_workload_error(error, f"running {point_name(parameters)}", CANNOT_RUN, integers) from error
        return {"inference": Phase(infer, inferences=batch)}

    def _sized(self, spec: OnnxSpec, *, has_batch: bool = False) -> tuple[tuple[ModelInput, ...], int]:
        """Return the inputs with the sizes of --dim filled in, except that of the batch, and the size of the batch."""
        dims, batch = dict(spec.dims), spec.batch
        named_dims.check_shapes(self.inputs, dims, spec.shapes)
        name = named_dims.batch_dimension(self.inputs)
        if name in dims and not spec.shapes:
            batch = dims.pop(name)
            named_dims.check_batch(name, batch, has_batch=has_batch)
        return tuple(declared.sized(dims) for declared in self.inputs), batch

    def _given(self, declared: ModelInput) -> InputArray:
        given = self.spec.inputs[declared.name]
        if given.file is not None:
            values, digest = read_input(declared.name, given.file, given, declared.element)
            return InputArray(values, digest, from_file=True)
        values = from_text(declared.name, given.text or "", declared.element)
        return InputArray(values, hashlib.sha256(values.tobytes()).hexdigest(), from_file=False)

    def _values(
        self, declared: ModelInput, shape: tuple[int, ...], random: np.random.Generator, *, batched: bool
    ) -> NDArray[Any]:
        array = self.arrays.get(declared.name)
        if array is None:
            return synthetic(declared.element, shape, random)
        return feed(declared, shape, array, batched=batched)

    def _facts(self, declared: ModelInput, shape: tuple[int, ...]) -> InputFacts:
        array = self.arrays.get(declared.name)
        if array is None:
            return InputFacts(declared.name, declared.element.name, shape, "synthetic", None)
        own = tuple(array.values.shape) if array.from_file else shape
        return InputFacts(declared.name, declared.element.name, own, "given", array.sha256)
