"""Runs any ONNX model: one `inference` is one run of its graph, or one element of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.engines.onnxruntime import ENGINE, VERSION, Session, check_device, open_session
from agent.workloads.errors import CANNOT_RUN, as_workload_error
from agent.workloads.limits import require_memory
from agent.workloads.onnx.model_file import read_model_file
from agent.workloads.onnx.model_inputs import ModelInputs
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import Ready
from agent.workloads.runner.timing import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.onnx.model_file import ModelFile
    from agent.workloads.onnx.spec import OnnxSpec
    from agent.workloads.point import Point


def check(spec: OnnxSpec, engine: EngineSpec, points: Sequence[Point]) -> None:
    """Check device, model file, options and inputs without loading the model. Raises WorkloadError."""
    check_device(engine)
    inputs = ModelInputs(spec, _model_file(spec).inputs)
    for point in points:
        inputs.check(point)


def load(spec: OnnxSpec, engine: EngineSpec) -> OnnxWorkload:
    """Check the model file and load it. Raises WorkloadError."""
    return OnnxWorkload(spec, engine, _model_file(spec), open_session(spec.model, engine))


def _model_file(spec: OnnxSpec) -> ModelFile:
    model = read_model_file(spec.model)
    require_memory(model.model_bytes, spec.label, "choose a smaller model, or a host with more memory")
    return model


class OnnxWorkload:
    """A model and its inputs; without batches, an inference is one run of the graph."""

    def __init__(self, spec: OnnxSpec, engine: EngineSpec, model: ModelFile, session: Session) -> None:
        self.spec = spec
        self.session = session
        self.inputs = ModelInputs(spec, model.inputs)
        self.outputs = [entry.name for entry in session.handle.get_outputs()]
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
            inputs=self.inputs.facts,
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase]:
        """Make the inputs of a point and run them once. Raises WorkloadError if the model takes no such batch."""
        point = self.inputs.at(parameters)
        random = np.random.default_rng([self.spec.seed, point.batch])
        feeds: dict[str, Any] = {}
        shared = []  # arrays whose memory the tensors use
        for declared, shape in point.shapes:
            values = self.inputs.values(declared, shape, random, batched=point.batched)
            feeds[declared.name] = self.session.tensor(values, declared.element.onnx_type)
            if declared.element.onnx_type is not None:
                shared.append(values)

        def infer(_steps: list[int], _shared: list[Any] = shared) -> None:
            self.session.run(feeds, self.outputs)

        try:
            infer([])
        except Exception as error:
            integers = [each.name for each in self.inputs.declared if each.element.kind == "integer"]
            raise as_workload_error(error, f"running {point_name(parameters)}", CANNOT_RUN, integers) from error
        return {"inference": Phase(infer, inferences=point.batch)}
