"""The messages between the profiling process and the workload process: one line of JSON each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.workloads.codec import from_json, to_json
from agent.workloads.input_spec import InputFacts  # noqa: TC001  the codec resolves the annotations
from agent.workloads.point import Point  # noqa: TC001 - same
from agent.workloads.spec import EngineSpec, Spec  # noqa: TC001 - same


@dataclass(frozen=True, slots=True)
class Load:
    """Load this model; the first command. The reply is `Ready`."""

    spec: Spec
    engine: EngineSpec

    TAG: ClassVar[tuple[str, str]] = ("do", "load")


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the inputs of a point and run it once. The reply is `Prepared`."""

    parameters: Point

    TAG: ClassVar[tuple[str, str]] = ("do", "prepare")


@dataclass(frozen=True, slots=True)
class Measure:
    """Iterate over the phase for at least `seconds` and at least `iterations`.

    The replies are `Started` when the window begins, `Ended` when it ends, and then `Measured`.
    """

    phase: str
    seconds: float
    iterations: int

    TAG: ClassVar[tuple[str, str]] = ("do", "measure")


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process. There is no reply."""

    TAG: ClassVar[tuple[str, str]] = ("do", "stop")


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded.

    `threads` is the requested number (0: the engine's own choice). `precision` is the type of most weights, `sha256`
    the hash of the model file; both None if there is none. `model_bytes` is the size of the weights of a built model,
    or of the model file with the external files it names. `load_seconds` is the time the engine took to load it.
    `inputs` are the inputs of an ONNX model; the transformer makes its own.
    """

    engine: str
    version: str
    provider: str
    threads: int
    precision: str | None
    parameters: int
    model_bytes: int
    sha256: str | None
    phases: tuple[str, ...]
    load_seconds: float
    inputs: tuple[InputFacts, ...] = ()

    TAG: ClassVar[tuple[str, str]] = ("reply", "ready")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The point has run once."""

    TAG: ClassVar[tuple[str, str]] = ("reply", "prepared")


@dataclass(frozen=True, slots=True)
class Started:
    """The window begins at `start_ns` on CLOCK_MONOTONIC, which is now or within a millisecond."""

    start_ns: int

    TAG: ClassVar[tuple[str, str]] = ("reply", "started")


@dataclass(frozen=True, slots=True)
class Ended:
    """The window ended at `end_ns` on CLOCK_MONOTONIC."""

    end_ns: int

    TAG: ClassVar[tuple[str, str]] = ("reply", "ended")


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured window: `start_ns` to `end_ns` on CLOCK_MONOTONIC, one clock for the whole host.

    Counts are totals of the window. `latencies_seconds` has one entry per iteration, and their sum is the length of the
    window. `step_seconds` has one entry per token step, none if the phase has no steps.
    """

    phase: str
    start_ns: int
    end_ns: int
    iterations: int
    inferences: int
    input_tokens: int
    output_tokens: int
    latencies_seconds: tuple[float, ...]
    step_seconds: tuple[float, ...]

    TAG: ClassVar[tuple[str, str]] = ("reply", "measured")


@dataclass(frozen=True, slots=True)
class Failed:
    """The last reply of a process that cannot continue."""

    message: str
    remedy: str

    TAG: ClassVar[tuple[str, str]] = ("reply", "failed")


Command = Load | Prepare | Measure | Stop
Reply = Ready | Prepared | Started | Ended | Measured | Failed


def encode(message: Command | Reply) -> bytes:
    """Return the message as one line, its newline included."""
    return to_json(message).encode() + b"\n"


def decode_command(line: bytes) -> Command:
    """Return the command in a line. Raises ValueError that names the misfit."""
    command: Command = from_json(line, Load, Prepare, Measure, Stop)
    return command


def decode_reply(line: bytes) -> Reply:
    """Return the reply in a line. Raises ValueError that names the misfit."""
    reply: Reply = from_json(line, Ready, Prepared, Started, Ended, Measured, Failed)
    return reply
