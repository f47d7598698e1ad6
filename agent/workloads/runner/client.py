"""The profiling side of a workload: starts its process, sends commands, and ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Self, TypeVar, cast

from agent.runtime.realtime import REALTIME_LIMIT
from agent.workloads.errors import LostPointError, OutOfMemoryError, WorkloadError
from agent.workloads.limits import Limits, resident_bytes, size
from agent.workloads.point import point_name
from agent.workloads.runner.pipes import PipeReader
from agent.workloads.runner.protocol import (
    Checked,
    Command,
    Ended,
    Failed,
    Measure,
    Measured,
    OutOfMemory,
    PointLost,
    Prepare,
    Prepared,
    Ready,
    Reply,
    Started,
    Stop,
    check_command,
    decode_reply,
    encode,
    load_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from agent.workloads.declaration import Spec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.point import Point

ReplyT = TypeVar("ReplyT", Checked, Ready, Prepared, Measured)

# -P: the module must come from this installation, not from the current directory.
WORKER_COMMAND = (sys.executable, "-P", "-m", "agent.workloads.runner.worker")

_STOP_TIMEOUT_SECONDS = 5.0
_TERMINATE_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.005


@dataclass(slots=True)
class _WorkerProcess:
    process: subprocess.Popen[bytes]
    commands: IO[bytes]
    pipe_reader: PipeReader
    awaiting_reply: bool = False


class WorkloadProcess:
    """One workload in its own child process. `show` gets each part of the error output of the child.

    Every call waits for its reply, at most the timeout beyond the requested length of a window. Ctrl-C ends the wait at
    once; `stop`, or the end of the `with` block, then ends the child. Every call raises WorkloadError if the child
    fails, dies, does not answer or exceeds its memory; the child is gone then, unless the error is a LostPointError
    whose `ended` is False. The thread that calls `start` must live as long as the child, because the kernel kills the
    child when that thread ends. Not thread-safe.
    """

    def __init__(
        self,
        command: Sequence[str] = WORKER_COMMAND,
        environment: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        show: Callable[[bytes], object] = lambda _part: None,
    ) -> None:
        self._command = tuple(command)
        self._environment = os.environ if environment is None else environment
        self._limits = limits or Limits()
        self._show = show
        self._model = "the model"
        self._loaded = False
        self._child: _WorkerProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the child. Raises WorkloadError without a child."""
        return self._running().process.pid

    def check(self, spec: Spec, engine: EngineSpec, points: Sequence[Point]) -> None:
        """Start the child and check in it that the model can run these points, without loading the model."""
        self._start_child(spec)
        self._ask(check_command(spec, engine, points), Checked, "being checked")

    def start(self, spec: Spec, engine: EngineSpec) -> Ready:
        """Load the model in the child, which is started now unless it has checked the model."""
        if self._child is None or self._loaded:
            self._start_child(spec)
        self._loaded = True
        return self._ask(load_command(spec, engine), Ready, "being loaded")

    def _start_child(self, spec: Spec) -> None:
        if self._child is not None:
            raise WorkloadError("the workload process is running already", "stop it first")
        self._model, self._loaded = spec.label, False
        # The workload must not see settings of this program, such as a database URL with its password.
        inherited = {name: word for name, word in self._environment.items() if not name.startswith("INFEROMETER_")}
        with REALTIME_LIMIT.lifted():
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=inherited,
                start_new_session=True,
            )
        pipes = [cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr)]
        self._child = _WorkerProcess(process, pipes[0], PipeReader(pipes[1], pipes[2], self._show))

    def prepare(self, parameters: Point) -> Prepared:
        """Make the inputs of a point in the child and run it once. Raises LostPointError if only this point fails."""
        return self._ask(Prepare(parameters), Prepared, f"running {point_name(parameters)} once")

    def measure(
        self, phase: str, seconds: float, iterations: int, edge: Callable[[], object] = lambda: None
    ) -> Measured:
        """Iterate in the child for at least `seconds` and `iterations`, and return the window.

        `edge` is called when the child reports that the window begins, and again when it reports that it has ended.
        """
        doing = f"being measured ({phase})"
        return self._ask(Measure(phase, seconds, iterations), Measured, doing, seconds, edge)

    def stop(self) -> None:
        """End the child with Stop if it awaits a command, else and then with SIGTERM, then with SIGKILL; idempotent."""
        child = self._child
        if child is None:
            return
        try:
            if not child.awaiting_reply:
                _send(child, Stop())
                _await_end(child.process, _STOP_TIMEOUT_SECONDS)
            if not _await_end(child.process, 0.0):
                os.killpg(child.process.pid, signal.SIGTERM)
                _await_end(child.process, _TERMINATE_TIMEOUT_SECONDS)
        finally:
            self._child = None
            _reap(child)

    def _running(self) -> _WorkerProcess:
        if self._child is None:
            raise WorkloadError("the workload process is not running", "start it first")
        return self._child

    def _ask(
        self,
        command: Command,
        kind: type[ReplyT],
        doing: str,
        seconds: float = 0.0,
        edge: Callable[[], object] = lambda: None,
    ) -> ReplyT:
        child = self._running()
        child.awaiting_reply = True
        _send(child, command)
        deadline = time.monotonic() + self._limits.timeout_seconds + seconds
        while True:
            line = self._line(child, deadline, doing, seconds)
            if line is None:
                raise self._exit_error(child, type(command).__name__.lower())
            reply = self._decoded(line)
            if not isinstance(reply, Started | Ended) or kind is not Measured:
                break
            edge()
        child.awaiting_reply = False
        return self._accepted(reply, kind)

    def _line(self, child: _WorkerProcess, deadline: float, doing: str, seconds: float) -> bytes | None:
        """Return the next reply, None if the child closed its output. Raises WorkloadError after ending the child."""
        try:
            return child.pipe_reader.line(deadline - time.monotonic(), self._watch(child.process.pid, doing))
        except TimeoutError:
            self.stop()
            beyond = f" beyond the {seconds:g} s of the window" if seconds else ""
            raise LostPointError(
                f"{self._model} did not finish {doing} within {self._limits.timeout_seconds:g} s{beyond}, "
                "the limit of --timeout",
                "give a longer --timeout if it is slow; otherwise search for an endless loop in it",
                ended=True,
            ) from None
        except WorkloadError:
            self.stop()
            raise

    def _watch(self, pid: int, doing: str) -> Callable[[], None] | None:
        """Return the check of the memory limit during a wait, None without a limit."""
        limit = self._limits.memory_bytes
        if limit is None:
            return None

        def watch() -> None:
            used = resident_bytes(pid)
            if used > limit:
                raise OutOfMemoryError(
                    f"{self._model} took {size(used)} of memory while {doing}, --memory-limit allows {size(limit)}",
                    "give a larger --memory-limit, or choose a smaller batch or model",
                    ended=True,
                )

        return watch

    def _decoded(self, line: bytes) -> Reply:
        try:
            return decode_reply(line)
        except ValueError as error:
            self.stop()
            raise WorkloadError(f"the workload process wrote an invalid reply: {error}") from error

    def _accepted(self, reply: Reply, kind: type[ReplyT]) -> ReplyT:
        if isinstance(reply, kind):
            return reply
        if isinstance(reply, OutOfMemory):
            raise OutOfMemoryError(reply.message, reply.remedy)
        if isinstance(reply, PointLost):
            raise LostPointError(reply.message, reply.remedy, reply.output)
        self.stop()
        if isinstance(reply, Failed):
            raise WorkloadError(reply.message, reply.remedy)
        raise WorkloadError(f"the workload process replied {type(reply).__name__}, not {kind.__name__}")

    def _exit_error(self, child: _WorkerProcess, doing: str) -> WorkloadError:
        words = child.pipe_reader.stderr_tail(_TERMINATE_TIMEOUT_SECONDS)
        ended = _await_end(child.process, _TERMINATE_TIMEOUT_SECONDS)
        self.stop()
        code = child.process.returncode if ended else None
        message = f"the workload process ended during {doing!r} ({_exit_reason(code)})"
        remedy = "the end of its error output is above" if words else ""
        if code == -signal.SIGKILL:
            remedy = "if the kernel log (dmesg) reports out of memory, choose a smaller batch or model"
            return OutOfMemoryError(message, remedy, words, ended=True)
        return WorkloadError(message, remedy, words)


def _send(child: _WorkerProcess, command: Command) -> None:
    # A dead child cannot read the line; its last output is read with the reply.
    with contextlib.suppress(BrokenPipeError):
        child.commands.write(encode(command))


def _await_end(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end of a process, and return whether it ended.

    It is not reaped, so that its process id and that of its group stay reserved.
    """
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _reap(child: _WorkerProcess) -> None:
    """End all that is left of the group of the child, such as the processes of a server that it started."""
    os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()
    child.commands.close()
    child.pipe_reader.close()


def _exit_reason(code: int | None) -> str:
    if code is None:
        return "it closed its output and did not end"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"
