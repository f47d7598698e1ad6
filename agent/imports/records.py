"""The records of an import: a file, a run of a tool, the time at which the run can have started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.profiling.tool_records import ToolFigure
    from agent.workloads.load_records import Arrivals, LoadTotals, RequestRecord
    from agent.workloads.point import Value

SERVING = "serving"
INFERENCE = "inference"


class ResultError(ValueError):
    """A result that cannot be imported; the message names the file, the cause and the remedy."""


class UnusableFileError(ResultError):
    """A path that is not that of a readable file."""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """The content of one file: one JSON object, a list of objects, one object a line, or text of another format.

    `keys` are those of the object, or of the first object.
    """

    name: str
    form: Literal["object", "list", "lines", "text"]
    content: bytes
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The Unix times, in nanoseconds, between which something happened."""

    earliest_ns: int
    latest_ns: int

    @property
    def middle_ns(self) -> int:
        """The time in the middle."""
        return (self.earliest_ns + self.latest_ns) // 2

    @property
    def half_ns(self) -> int:
        """Half the length, rounded up."""
        return (self.latest_ns - self.earliest_ns + 1) // 2

    def shifted(self, by_ns: int) -> TimeRange:
        """Return the range, moved."""
        return TimeRange(self.earliest_ns + by_ns, self.latest_ns + by_ns)


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One measured load, or one benchmark of a model.

    `start` is the time of the measured part's start, None if the result has none, `duration_ns` its length.
    `parameters` identify the point. `requests` and `steps` (seconds between two output tokens) are those of the
    measured part, with times relative to its start; `totals` replaces them if the tool reports only those, with
    `input_tokens` and `output_tokens` of all requests. A benchmark of a model has `repetitions`, their lengths in
    seconds, instead of requests. `in_flight_end` are the requests that the tool ended at the end. `figures` are the
    tool's own.
    """

    tool: str
    version: str | None
    file: str
    model: str | None
    parameters: Mapping[str, Value]
    start: TimeRange | None
    duration_ns: int
    figures: Mapping[str, ToolFigure]
    arrivals: Arrivals = "unknown"
    requests: tuple[RequestRecord, ...] = ()
    steps: tuple[float, ...] = ()
    totals: LoadTotals | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    repetitions: tuple[float, ...] = ()
    in_flight_end: int = 0
    engine: EngineUsed | None = None

    @property
    def phase(self) -> str:
        """The phase of its window."""
        return INFERENCE if self.repetitions else SERVING


@dataclass(frozen=True, slots=True)
class EngineUsed:
    """The engine of a benchmark of a model, and the model."""

    name: str
    version: str
    provider: str
    threads: int | None
    precision: str | None
    parameter_count: int | None
    model_bytes: int | None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool whose results can be imported.

    `recognizes` decides by the content of a file. `runs` returns the runs of all its files; its second argument is the
    Unix time of the zero of CLOCK_MONOTONIC in nanoseconds, None for results of another host. Raises ResultError.
    """

    name: str
    recognizes: Callable[[ResultFile], bool]
    runs: Callable[[Sequence[ResultFile], int | None], list[ToolRun]]
