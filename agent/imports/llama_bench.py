"""Results of llama-bench: `-o json`, `-o jsonl` or `-o csv`; a benchmark of a model without a server.

`test_time` is UTC, in whole seconds, and precedes the warm-up of a test. The repetitions follow it back to back.
Docs: https://github.com/ggml-org/llama.cpp/tree/master/tools/llama-bench
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import msgspec

from agent.imports.files import records
from agent.imports.records import EngineUsed, ResultError, TimeRange, Tool, ToolRun
from agent.imports.values import Count, Number, checked_duration, figure, outcome, unix_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile
    from agent.workloads.point import Value

NAME = "llama-bench"
_SECOND_NS = 1_000_000_000
WARMUP_REPETITIONS = 2
"""The longest warm-up of the last test of a file, in repetitions: it runs the prompt once, or one token."""
_CSV = b"build_commit,build_number,"
_Nanoseconds = Annotated[int, msgspec.Meta(ge=1, le=10**16)]


class _Test(msgspec.Struct):
    build_commit: str
    model_filename: str
    model_type: str
    n_prompt: Count
    n_gen: Count
    test_time: str
    avg_ts: Number
    backends: str = ""
    model_size: Count | None = None
    model_n_params: Count | None = None
    n_threads: Count | None = None
    n_depth: Count = 0
    samples_ns: list[_Nanoseconds] = []


def _recognizes(file: ResultFile) -> bool:
    if file.form == "text":
        return file.content.startswith(_CSV)
    return {"build_commit", "model_filename", "n_prompt", "n_gen", "test_time"} <= file.keys


def _runs(files: Sequence[ResultFile], _monotonic_zero_ns: int | None) -> list[ToolRun]:
    found = []
    for file in files:
        if file.form == "text":
            remedy = "run llama-bench with -o json or -o jsonl"
            raise ResultError(f"{file.name}: its CSV has no repetitions, so their number is unknown: {remedy}")
        tests = records(file, _Test)
        if not tests:
            raise ResultError(f"{file.name}: it has no test: import the result of a finished run")
        times = [_time_ns(file.name, test) for test in tests]
        ends = [after + _SECOND_NS for _, after in pairwise(times)]
        found += [_run(file.name, *each) for each in zip(tests, times, [*ends, None], strict=True)]
    return found


def _time_ns(file: str, test: _Test) -> int:
    try:
        return unix_ns(datetime.fromisoformat(test.test_time).astimezone())
    except (ValueError, OverflowError) as error:
        cause = f"{outcome(test.test_time)!r} is not a time such as 2026-01-31T08:30:00Z"
        raise ResultError(f"{file}: {cause}. Import the file as the tool wrote it") from error


def _run(file: str, test: _Test, time_ns: int, end_ns: int | None) -> ToolRun:
    """Return one test; its repetitions lie between its own time and that of the next test, `end_ns`."""
    if test.n_depth:
        remedy = "run llama-bench without -d"
        raise ResultError(f"{file}: unmeasured work precedes each repetition, and the energy includes it: {remedy}")
    duration_ns = checked_duration(file, sum(test.samples_ns))
    if end_ns is None:
        end_ns = time_ns + _SECOND_NS + WARMUP_REPETITIONS * max(test.samples_ns) + duration_ns
    return ToolRun(
        tool=NAME,
        version=test.build_commit[:40],
        file=file,
        model=test.model_filename.rpartition("/")[2],
        parameters=_parameters(test),
        start=TimeRange(time_ns, max(time_ns, end_ns - duration_ns)),
        duration_ns=duration_ns,
        figures={"total_tokens_per_second": figure(test.avg_ts)},
        input_tokens=test.n_prompt * len(test.samples_ns),
        output_tokens=test.n_gen * len(test.samples_ns),
        repetitions=tuple(each / 1e9 for each in test.samples_ns),
        engine=EngineUsed(
            name="llama.cpp",
            version=test.build_commit[:40],
            provider=test.backends or "unknown",
            threads=test.n_threads,
            precision=test.model_type,
            parameter_count=test.model_n_params,
            model_bytes=test.model_size,
        ),
    )


def _parameters(test: _Test) -> dict[str, Value]:
    return {"prompt_tokens": test.n_prompt, "output_tokens": test.n_gen}


TOOL = Tool(NAME, _recognizes, _runs)
