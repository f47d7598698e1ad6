"""Runs a GGUF file in the program llama-bench, which is started for each window.

llama-bench reports the begin of each repetition (`--progress`), and these reports bound a window. It begins with the
first repetition, after the load and the warm-up, and ends with the begin of a later one; then the program is ended.
"""

from __future__ import annotations

import re
import time
from itertools import pairwise
from shutil import which
from typing import TYPE_CHECKING

import msgspec

from agent.workloads.errors import WorkloadError, as_workload_error
from agent.workloads.llama.bench_process import BenchProcess
from agent.workloads.llama.engine import PROGRAM
from agent.workloads.llama.placement import check_use, is_cpu, placement_in
from agent.workloads.runner.protocol import Measured
from agent.workloads.runner.timing import no_garbage_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.llama.spec import LlamaSpec

_ENDLESS = 1_000_000_000
_STARTED = re.compile(r"benchmark \d+/\d+: starting")
_REPETITION = re.compile(r"(prompt|generation) run \d+/\d+")
_KINDS = {"prefill": "prompt", "decode": "generation"}
_SMALLER = "choose a smaller model, or fewer --prompt-tokens or --output-tokens"
_NEWER = "install a newer llama.cpp"


class _Result(msgspec.Struct):
    build_commit: str
    build_number: int
    n_threads: int


def check(spec: LlamaSpec, engine: EngineSpec) -> bool:
    """Check that the program is installed and can run the spec, and return whether on the CPU. Raises WorkloadError."""
    _program(spec)
    if spec.batch > 1:
        raise WorkloadError(
            "--batch: llama-bench processes one request at a time",
            "leave out --batch, or install llama-cpp-python: pip install 'inferometer[llama]'",
        )
    for path in spec.model.values():
        if "," in str(path):
            raise WorkloadError(f"the path of the model {path.name} has a comma, which llama-bench reads as a list")
    return is_cpu(engine, spec.gpu_layers)


def load(spec: LlamaSpec, engine: EngineSpec) -> LlamaBenchFile:
    """Let the program load the file of a spec once. Raises WorkloadError."""
    return LlamaBenchFile(spec, engine)


class LlamaBenchFile:
    """A model that llama-bench loads for each window."""

    def __init__(self, spec: LlamaSpec, engine: EngineSpec) -> None:
        self._spec, self._engine = spec, engine
        result, log, (start_ns, end_ns) = self._tried(spec, ("-p", "1", "-n", "0"))
        self.version = f"{result.build_number} ({result.build_commit})"[:60]
        self.threads = result.n_threads
        self.placement = placement_in(log)
        check_use(self.placement, engine, spec.gpu_layers, "install a llama-bench that supports the device")
        self.load_start_ns, self.load_seconds = start_ns, (end_ns - start_ns) / 1e9

    def phases(self, spec: LlamaSpec) -> dict[str, BenchPhase]:
        """Run both phases of a point once, and return them."""
        tests = {
            "prefill": ("-p", str(spec.prompt_tokens), "-n", "0"),
            "decode": ("-p", "0", "-n", str(spec.output_tokens)),
        }
        for test in tests.values():
            self._tried(spec, test)
        return {
            "prefill": BenchPhase(self._command(spec, tests["prefill"]), spec.prompt_tokens, 0),
            "decode": BenchPhase(self._command(spec, tests["decode"]), 0, spec.output_tokens),
        }

    def scores(self) -> None:
        """Return nothing: llama-bench shows no scores."""

    def _command(self, spec: LlamaSpec, test: Sequence[str]) -> list[str]:
        """Return the command of a test without its number of repetitions."""
        device = "none" if is_cpu(self._engine, spec.gpu_layers) else self._engine.device
        return [
            *(_program(spec), "-m", str(spec.path), *test, "-o", "jsonl", "--progress"),
            *("-b", str(spec.n_batch), "-ub", str(spec.n_ubatch)),
            *("-ctk", spec.cache_type, "-ctv", spec.cache_type),
            *(("-dev", device) if device != "auto" else ()),
            *(("-ngl", str(spec.gpu_layers)) if spec.gpu_layers >= 0 and device != "none" else ()),
            *(("-t", str(self._engine.threads)) if self._engine.threads else ()),
            *(("-fa", spec.flash_attention) if spec.flash_attention != "auto" else ()),
        ]

    def _tried(self, spec: LlamaSpec, test: Sequence[str]) -> tuple[_Result, str, tuple[int, int]]:
        """Run a test once. Return its result, the log, and the begin and the end of the load."""
        lines: list[str] = []
        start_ns = end_ns = 0
        with BenchProcess([*self._command(spec, test), "-r", "1", "--no-warmup", "-v"]) as process:
            for line in process.lines():
                if _STARTED.search(line):
                    start_ns = time.monotonic_ns()
                elif _REPETITION.search(line):
                    end_ns = time.monotonic_ns()
                lines.append(line)
            code = process.wait()
        log = "".join(lines)
        if code:
            raise _failure(log, code)
        found = [line for line in lines if line.startswith("{")]
        if len(found) != 1 or not 0 < start_ns < end_ns:
            raise WorkloadError("llama-bench did not report its repetitions, or no result", _NEWER)
        try:
            return msgspec.json.decode(found[0], type=_Result), log, (start_ns, end_ns)
        except msgspec.ValidationError as error:
            raise WorkloadError(f"llama-bench wrote another result than expected: {error}", _NEWER) from error


class BenchPhase:
    """One test of llama-bench, repeated; an iteration is a repetition."""

    def __init__(self, command: Sequence[str], input_tokens: int, output_tokens: int) -> None:
        self._command = [*command, "-r", str(_ENDLESS)]
        self._input_tokens, self._output_tokens = input_tokens, output_tokens

    def measure(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object] = lambda _start_ns: None,
        ended: Callable[[int], object] = lambda _end_ns: None,
    ) -> Measured:
        """Repeat for at least `seconds` and `iterations`. Raises WorkloadError if the program ends before."""
        times: list[int] = []
        lines: list[str] = []
        with no_garbage_collection(), BenchProcess(self._command) as process:
            for line in process.lines():
                now = time.monotonic_ns()
                found = _REPETITION.search(line)
                if found is None or found[1] != _KINDS[phase]:
                    lines.append(line)
                    continue
                times.append(now)
                if len(times) == 1:
                    started(now)
                elif len(times) > max(iterations, 1) and now - times[0] >= seconds * 1e9:
                    ended(now)
                    break
            else:
                raise _failure("".join(lines), process.wait())
        done = len(times) - 1
        return Measured(
            phase=phase,
            start_ns=times[0],
            end_ns=times[-1],
            iterations=done,
            inferences=done,
            input_tokens=done * self._input_tokens,
            output_tokens=done * self._output_tokens,
            latencies_seconds=tuple((after - before) / 1e9 for before, after in pairwise(times)),
            step_seconds=(),
        )


def _program(spec: LlamaSpec) -> str:
    found = str(spec.program) if spec.program else which(PROGRAM)
    if found is None:
        raise WorkloadError(f"{PROGRAM} is not on PATH", "install llama.cpp, or name the program: --program FILE")
    return found


def _failure(log: str, code: int) -> WorkloadError:
    words = [line for line in log.splitlines() if line and not line.startswith("{")][-3:]
    cause = RuntimeError(f"exit status {code}: {' | '.join(words) or 'it printed nothing'}")
    return as_workload_error(cause, "running llama-bench", _SMALLER)
