"""The original model and its quantized variants, each made and loaded with the first point that needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.runtime.private_folder import private_folder
from agent.workloads.engines.onnxruntime import Session, open_session
from agent.workloads.engines.onnxruntime_quantization import missing_module, quantize
from agent.workloads.errors import WorkloadError
from agent.workloads.limits import require_memory
from agent.workloads.model_record import Agreement, LoadedModel
from agent.workloads.onnx.model_file import load_whole_model, read_model_file
from agent.workloads.onnx.precision_spec import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.onnx.model_file import ModelFile
    from agent.workloads.onnx.spec import OnnxSpec

_COPIES = 3
"""The copies of a model in memory while the tools quantize it."""


def check_tools(precision: str) -> None:
    """Raise WorkloadError if the tool of a precision is not installed."""
    if precision != ORIGINAL and (name := missing_module(precision)):
        raise WorkloadError(
            f"--quantize {precision}: the tool of onnxruntime needs the module {name}, which is not installed",
            "pip install 'inferometer[onnx]'",
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """A loaded model and its bytes."""

    session: Session
    precision: str | None
    model_bytes: int


class ModelVariants:
    """The sessions of one model by precision; they stay loaded."""

    def __init__(self, spec: OnnxSpec, engine: EngineSpec, model: ModelFile, original: Session) -> None:
        self._spec = spec
        self._engine = engine
        self._model = model
        self._loaded = {ORIGINAL: Variant(original, model.precision, model.model_bytes)}

    def session(self, precision: str, inputs: Mapping[str, NDArray[Any]]) -> Session:
        """Return the session of a precision; the inputs calibrate int8_static, if it is not loaded yet.

        Raises WorkloadError for a model in which nothing can be quantized.
        """
        if precision not in self._loaded:
            self._loaded[precision] = self._quantized(precision, inputs)
        return self._loaded[precision].session

    def facts(self, precision: str, agreement: Agreement | None) -> LoadedModel:
        """Return the facts of a loaded precision; all have the parameters of the original."""
        variant = self._loaded[precision]
        return LoadedModel(
            precision=variant.precision,
            parameters=self._model.parameters,
            model_bytes=variant.model_bytes,
            load_start_ns=variant.session.load_start_ns,
            load_seconds=variant.session.load_seconds,
            agreement=agreement,
        )

    def _quantized(self, precision: str, inputs: Mapping[str, NDArray[Any]]) -> Variant:
        check_tools(precision)
        remedy = "leave out --quantize, or choose a host with more memory"
        require_memory(_COPIES * self._model.model_bytes, f"quantizing {self._spec.label}", remedy)
        with private_folder() as folder:
            whole = load_whole_model(self._spec.model)
            path = quantize(whole, self._model.model_bytes, self._spec.label, precision, inputs, folder)
            del whole  # its memory, before the engine loads the variant
            session = open_session(path, self._engine, providers=self._spec.providers)
            return Variant(session, precision, read_model_file(path).model_bytes)
