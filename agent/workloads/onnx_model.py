"""The workload that runs any ONNX model on made-up inputs: one `inference` is one run, or one row of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agent.workloads.engine import ENGINE, VERSION, Session, open_session
from agent.workloads.errors import WorkloadError
from agent.workloads.measuring import Work
from agent.workloads.onnx_file import read_model_facts
from agent.workloads.onnx_inputs import declared_inputs, made_up, settled_shapes
from agent.workloads.protocol import Ready

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.workloads.spec import EngineSpec, OnnxSpec


def load(spec: OnnxSpec, engine: EngineSpec) -> OnnxWorkload:
    """Load the model from its file. Raises WorkloadError."""
    if not spec.model.is_file():
        found = "is not a file" if spec.model.exists() else "does not exist"
        raise WorkloadError(f"the model {spec.model} {found}", "give the path of an .onnx file")
    return OnnxWorkload(spec, engine, open_session(spec.model, engine))


class OnnxWorkload:
    """A model and its inputs. It batches if every input leaves its first size open, and no shape was given."""

    def __init__(self, spec: OnnxSpec, engine: EngineSpec, session: Session) -> None:
        self.spec = spec
        self.session = session
        self.inputs = declared_inputs(session.handle.get_inputs())
        self.outputs = [entry.name for entry in session.handle.get_outputs()]
        settled_shapes(self.inputs, spec.shapes, 1)
        facts = read_model_facts(spec.model)
        self.ready = Ready(
            engine=ENGINE,
            version=VERSION,
            provider=session.provider,
            threads=engine.threads,
            precision=facts.precision,
            parameters=facts.parameters,
            model_bytes=facts.model_bytes,
            sha256=facts.sha256,
            phases=("inference",),
            load_seconds=session.load_seconds,
        )

    def prepare(self, batch: int) -> Mapping[str, Work]:
        """Make the inputs of a batch and run them once. Raises WorkloadError where the model takes no batches."""
        if batch != 1 and not self._batches():
            shapes = ", ".join(f"{declared.name} {declared.shown}" for declared in self.inputs) or "no inputs"
            raise WorkloadError(
                f"--batch {batch}: {self.spec.model} leaves no batch size open, or --shape settled it ({shapes})",
                "choose --batch 1, and put the batch into --shape if the model takes one",
            )
        random = np.random.default_rng([self.spec.seed, batch])
        shapes_settled = settled_shapes(self.inputs, self.spec.shapes, batch)
        feeds: dict[str, Any] = {
            declared.name: self.session.tensor(made_up(declared, shape, random))
            for declared, shape in zip(self.inputs, shapes_settled, strict=True)
        }

        def infer(_steps: list[int]) -> None:
            self.session.run(feeds, self.outputs)

        infer([])
        return {"inference": Work(infer, inferences=batch)}

    def _batches(self) -> bool:
        return not self.spec.shapes and bool(self.inputs) and all(declared.open_first for declared in self.inputs)
