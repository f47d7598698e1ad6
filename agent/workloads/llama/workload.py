"""Runs GGUF files: `prefill` and `decode` as llama-bench defines them, for each file of the sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.workloads.axes import at_point
from agent.workloads.limits import require_memory
from agent.workloads.llama.engine import engine_module, engine_of
from agent.workloads.llama.model_file import read_model, sha256_of
from agent.workloads.llama.placement import check_request
from agent.workloads.model_record import LoadedModel
from agent.workloads.runner.protocol import Ready

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.llama.engine import LoadedFile
    from agent.workloads.llama.spec import LlamaSpec
    from agent.workloads.model_record import Agreement
    from agent.workloads.point import Point
    from agent.workloads.runner.timing import MeasuringPhase, Phase


def check(spec: LlamaSpec, engine: EngineSpec, _points: Sequence[Point]) -> None:
    """Check the files, the device and the engine without loading a model. Raises WorkloadError."""
    check_request(engine, spec.gpu_layers)
    on_cpu = engine_module(engine_of(spec)).check(spec, engine)
    for name, path in spec.model.items():
        _, size = read_model(path)
        if on_cpu:
            require_memory(size, f"the model {name}", "choose a smaller model, or a host with more memory")


def load(spec: LlamaSpec, engine: EngineSpec) -> LlamaWorkload:
    """Load the first file. Raises WorkloadError."""
    check(spec, engine, ())
    return LlamaWorkload(spec, engine)


class LlamaWorkload:
    """One or several files; each is loaded with the first point that needs it, and stays loaded."""

    def __init__(self, spec: LlamaSpec, engine: EngineSpec) -> None:
        self.spec = spec
        self._engine, self._name = engine, engine_of(spec)
        self._module = engine_module(self._name)
        self._first = next(iter(spec.model))
        self._reference: Any = None
        first = self._module.load(spec, engine)
        self._files: dict[str, LoadedFile] = {self._first: first}
        self._agreements: dict[str, Agreement | None] = {}
        header, size = read_model(spec.path)
        self.ready = Ready(
            engine=self._name,
            version=first.version,
            provider=first.placement.provider,
            threads=first.threads,
            precision=header.file_type,
            parameters=header.parameters,
            model_bytes=size,
            sha256=sha256_of(spec.path),
            phases=spec.phases,
            load_seconds=first.load_seconds,
            load_start_ns=first.load_start_ns,
            device=first.placement.device,
            cpu_operator_share=first.placement.cpu_share,
        )

    def prepare(self, parameters: Point) -> Mapping[str, Phase | MeasuringPhase]:
        """Load the file of a point if it is a new one, and run both phases once."""
        spec = at_point(self.spec, parameters)
        return self._file(spec).phases(spec)

    def model_of(self, parameters: Point) -> LoadedModel | None:
        """Return the facts of the file of a point, and the agreement of its outputs with those of the first file.

        None if there is only one file.
        """
        if len(self.spec.model) == 1:
            return None
        spec = at_point(self.spec, parameters)
        (name, path), *_ = spec.model.items()
        header, size = read_model(path)
        file = self._files[name]
        return LoadedModel(
            precision=header.file_type,
            parameters=header.parameters,
            model_bytes=size,
            load_start_ns=file.load_start_ns,
            load_seconds=file.load_seconds,
            agreement=self._agreements.get(name),
        )

    def _file(self, spec: LlamaSpec) -> LoadedFile:
        name = next(iter(spec.model))
        found = self._files.get(name)
        if found is None:
            found = self._module.load(spec, self._engine)
            self._files[name] = found
            self._agreements[name] = self._agreement(found)
        return found

    def _agreement(self, file: LoadedFile) -> Agreement | None:
        """Return the agreement of the scores after each token of a fixed text with those of the first file."""
        scores = file.scores()
        if scores is None:
            return None
        from agent.workloads.llama.agreement import agreement  # noqa: PLC0415  llama-bench needs no NumPy

        if self._reference is None:
            self._reference = self._files[self._first].scores()
        return agreement(self._first, scores, self._reference)
