"""The messages between the profiling process and the workload process: one line of JSON each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.runtime.typed_json import from_json, to_json
from agent.workloads.engine_spec import EngineSpec  # noqa: TC001  msgspec resolves the annotations
from agent.workloads.input_spec import InputFacts  # noqa: TC001 - same
from agent.workloads.load_records import LoadWindow  # noqa: TC001 - same
from agent.workloads.model_record import LoadedModel  # noqa: TC001 - same
from agent.workloads.point import Point  # noqa: TC001 - same
from agent.workloads.work import Work  # noqa: TC001 - same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.workloads.declaration import Spec


class _Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag=str.lower):
    pass


class _Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="reply", tag=str.lower):
    pass


class Check(_Command, frozen=True):
    """Check that a model can run these points, without loading it. The reply is `Checked`."""

    workload: str
    spec: str
    engine: EngineSpec
    points: tuple[Point, ...]


class Load(_Command, frozen=True):
    """Load this model; only `Check` may come before it. The reply is `Ready`.

    `spec` is the spec as JSON text; the declaration of the `workload` has its type.
    """

    workload: str
    spec: str
    engine: EngineSpec


class Prepare(_Command, frozen=True):
    """Make the inputs of a point and run it once. The reply is `Prepared`."""

    parameters: Point


class Measure(_Command, frozen=True):
    """Iterate over the phase for at least `seconds` and at least `iterations`.

    The replies are `Started` when the window begins, `Ended` when it ends, and then `Measured`.
    """

    phase: str
    seconds: float
    iterations: int


class Stop(_Command, frozen=True):
    """End the process. There is no reply."""


class Checked(_Reply, frozen=True):
    """The model can run the points, as far as that shows before it is loaded."""


class Ready(_Reply, frozen=True):
    """The model is loaded.

    `threads` is the requested number (0: the engine's own choice). `precision` is the type of most weights, `sha256`
    the hash of the model file; both None if there is none. `model_bytes` is the size of the weights of a built model,
    or of the model file and its external files; None, as `parameters`, if a server does not list it. `load_seconds`
    is the time the engine took to load it, from `load_start_ns` on CLOCK_MONOTONIC (0 if it was loaded before).
    `inputs` are the inputs of an ONNX model; the transformer makes its own. `model` is the name of a model in a server.

    `provider` is the kind of device (`cpu`, `cuda`) and `device` the one that runs the model, by the engine's name for
    it. `cpu_operator_share` is the share of the operators that the CPU runs instead, None if the engine does not report
    it. `cpus` are the CPUs that the process may use, as the kernel lists them (`0-3,8`); the runner adds them.
    `computes_in` is the precision in which the engine computes with the weights, None if it does not report it.
    `chosen` has the settings that the workload chose because they were left open.
    """

    engine: str
    version: str
    provider: str
    threads: int
    precision: str | None
    parameters: int | None
    model_bytes: int | None
    sha256: str | None
    phases: tuple[str, ...]
    load_seconds: float
    inputs: tuple[InputFacts, ...] = ()
    model: str | None = None
    load_start_ns: int = 0
    device: str | None = None
    cpu_operator_share: float | None = None
    cpus: str | None = None
    computes_in: str | None = None
    chosen: dict[str, int] = {}


class Prepared(_Reply, frozen=True):
    """The point has run once, from `start_ns` to `end_ns` on CLOCK_MONOTONIC.

    `model` is the model of the point if the points have different ones. `work` has the phases whose work is counted.
    """

    start_ns: int
    end_ns: int
    model: LoadedModel | None = None
    work: dict[str, Work] = {}


class Started(_Reply, frozen=True):
    """The window begins at `start_ns` on CLOCK_MONOTONIC, which is now or within a millisecond."""

    start_ns: int


class Ended(_Reply, frozen=True):
    """The window ended at `end_ns` on CLOCK_MONOTONIC."""

    end_ns: int


class Measured(_Reply, frozen=True):
    """One measured window: `start_ns` to `end_ns` on CLOCK_MONOTONIC, one clock for the whole host.

    Counts are totals of the window. `latencies_seconds` has one entry per iteration, and their sum is the length of the
    window. `step_seconds` has one entry per token step, none if the phase has no steps.

    In a window of a load, an iteration is a request: counts of tokens are those that arrived in the window (an input
    counts with its first output token), `inferences` are the requests of `load` that succeeded, `requests_in_window` is
    the sum of the parts of successful requests that lie within the window, and `step_seconds` are the times between two
    output tokens.
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
    requests_in_window: float | None = None
    load: LoadWindow | None = None


class OutOfMemory(_Reply, frozen=True):
    """The point needs more memory than there is; the process awaits commands for other points."""

    message: str
    remedy: str


class PointLost(_Reply, frozen=True):
    """The point cannot be measured; the process awaits commands for other points.

    `output` is the end of the output of a program that failed.
    """

    message: str
    remedy: str
    output: str = ""


class Failed(_Reply, frozen=True):
    """The last reply of a process that cannot continue."""

    message: str
    remedy: str


Command = Check | Load | Prepare | Measure | Stop
Reply = Checked | Ready | Prepared | Started | Ended | Measured | OutOfMemory | PointLost | Failed


def check_command(spec: Spec, engine: EngineSpec, points: Sequence[Point]) -> Check:
    """Return the command that checks a model and its points."""
    return Check(spec.workload, to_json(spec), engine, tuple(points))


def load_command(spec: Spec, engine: EngineSpec) -> Load:
    """Return the command that loads a model."""
    return Load(spec.workload, to_json(spec), engine)


def encode(message: Command | Reply) -> bytes:
    """Return the message as one line, its newline included."""
    return to_json(message, separators=(",", ":")).encode() + b"\n"


def decode_command(line: bytes) -> Command:
    """Return the command in a line. Raises ValueError that names the violation."""
    command: Command = from_json(line, Command)
    return command


def decode_reply(line: bytes) -> Reply:
    """Return the reply in a line. Raises ValueError that names the violation."""
    reply: Reply = from_json(line, Reply)
    return reply
