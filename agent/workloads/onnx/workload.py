"""Runs any ONNX model: one `inference` is one run of its graph, or one element of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.axes import at_point
from agent.workloads.engines.onnxruntime import ENGINE, VERSION, Session, check_device, open_session
from agent.workloads.errors import CANNOT_RUN, as_workload_error
from agent.workloads.limits import require_memory
from agent.workloads.onnx.agreement import agreement
from agent.workloads.onnx.model_file import read_model_file
from agent.workloads.onnx.model_inputs import ModelInputs
from agent.workloads.onnx.precision_spec import ORIGINAL
from agent.workloads.onnx.variants import ModelVariants, check_tools
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.model_record import Agreement, LoadedModel
    from agent.workloads.onnx.model_file import ModelFile
    from agent.workloads.onnx.spec import OnnxSpec
    from agent.workloads.point import Point


def check(spec: OnnxSpec, engine: EngineSpec, points: Sequence[Point]) -> None:
    """Check device, model file, options and inputs without loading the model. Raises WorkloadError."""
    check_device(engine, spec.providers)
    inputs = ModelInputs(spec, _model_file(spec).inputs)
    for point in points:
        inputs.check(point)
        check_tools(at_point(spec, point).precision)


def load(spec: OnnxSpec, engine: EngineSpec) -> OnnxWorkload:
    """Check the model file and load it. Raises WorkloadError."""
    return OnnxWorkload(spec, engine, _model_file(spec), open_session(spec.model, engine, providers=spec.providers))


def _model_file(spec: OnnxSpec) -> ModelFile:
    model = read_model_file(spec.model)
    require_memory(model.model_bytes, spec.label, "choose a smaller model, or a host with more memory")
    return model


class OnnxWorkload:
    """A model and its inputs; without batches, an inference is one run of the graph.

    With --quantize, each precision is a model of its own, made from the original.
    """

    def __init__(self, spec: OnnxSpec, engine: EngineSpec, model: ModelFile, session: Session) -> None:
        self.spec = spec
        self.session = session
        self.inputs = ModelInputs(spec, model.inputs)
        self._variants = ModelVariants(spec, engine, model, session)
        self._agreement: Agreement | None = None
        # The engine computes an optional output that nobody fetches; it crashes if it must return an absent one.
        self.outputs = [each.name for each in session.handle.get_outputs() if not each.type.startswith("optional")]
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
            load_start_ns=session.load_start_ns,
            device=session.device,
            cpu_operator_share=session.cpu_operator_share,
            inputs=self.inputs.facts,
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the inputs of a point and run them once. Raises WorkloadError if the model takes no such batch."""
        precision = at_point(self.spec, parameters).precision
        point = self.inputs.at(parameters)
        random = np.random.default_rng([self.spec.seed, point.batch])
        arrays = {
            declared.name: self.inputs.values(declared, shape, random, batched=point.batched)
            for declared, shape in point.shapes
        }
        session = self._variants.session(precision, arrays)
        types = {declared.name: declared.element.onnx_type for declared, _ in point.shapes}
        feeds = {name: session.tensor(values, types[name]) for name, values in arrays.items()}
        # A tensor of a type that numpy lacks uses the memory of its array.
        shared = [values for name, values in arrays.items() if types[name] is not None]

        try:
            bound = session.bound(feeds, self.outputs)
            bound.run()
            self._agreement = None if precision == ORIGINAL else self._agreement_with_original(session, feeds)
        except Exception as error:
            integers = [each.name for each in self.inputs.declared if each.element.kind == "integer"]
            raise as_workload_error(error, f"running {point_name(parameters)}", CANNOT_RUN, integers) from error

        def infer(_steps: list[int], _shared: list[Any] = shared) -> None:
            bound.run()

        return {"inference": Phase(infer, inferences=point.batch)}

    def model_of(self, parameters: Point) -> LoadedModel | None:
        """Return the facts of the model of the prepared point, None without --quantize."""
        return (
            self._variants.facts(str(parameters["precision"]), self._agreement) if "precision" in parameters else None
        )

    def _agreement_with_original(self, session: Session, feeds: Mapping[str, Any]) -> Agreement | None:
        """Return the agreement of the outputs of a variant with those of the original, on these inputs."""
        originals, others = (
            dict(zip(self.outputs, each.run(feeds, self.outputs), strict=True)) for each in (self.session, session)
        )
        return agreement(self.ready.precision or ORIGINAL, _arrays(originals), _arrays(others))


def _arrays(outputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the outputs that are tensors of floats."""
    kinds = {"tensor(float)", "tensor(double)", "tensor(float16)"}
    return {name: value.numpy() for name, value in outputs.items() if value.data_type() in kinds}
