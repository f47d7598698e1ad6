"""The workload process: reads commands from its input, replies on its output, and never outlives its parent."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from agent.runtime.cpu_list import cpu_list
from agent.runtime.typed_json import from_json
from agent.workloads import registry
from agent.workloads.causes import clean
from agent.workloads.declaration import needed_engine, starts_programs
from agent.workloads.errors import (
    CANNOT_LOAD,
    CANNOT_RUN,
    LostPointError,
    OutOfMemoryError,
    WorkloadError,
    as_workload_error,
)
from agent.workloads.point import point_name
from agent.workloads.runner.protocol import (
    Check,
    Checked,
    Ended,
    Failed,
    Load,
    Measure,
    Measured,
    OutOfMemory,
    PointLost,
    Prepare,
    Prepared,
    Reply,
    Started,
    Stop,
    decode_command,
    encode,
)
from agent.workloads.runner.timing import Closing, Phase, Variants, measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent.workloads.declaration import Spec
    from agent.workloads.declaration import Workload as Declaration
    from agent.workloads.runner.protocol import Command
    from agent.workloads.runner.timing import MeasuringPhase, Workload
    from agent.workloads.work import Work

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # prctl(2)
_OOM_SCORE = 1000  # oom_score_adj, proc(5)


def main() -> int:
    """Serve the commands on standard input until it closes; return 1 after a failure, which is the last reply."""
    _harden_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = _reserve_stdout()
    try:
        serve(sys.stdin.buffer, replies)
    except BrokenPipeError:
        return 1
    except WorkloadError as error:
        return _reply_failure(replies, error)
    except Exception as error:  # noqa: BLE001 - the edge of the process: every failure becomes its last reply
        traceback.print_exc()
        return _reply_failure(replies, as_workload_error(error, "running the workload", CANNOT_RUN))
    return 0


def serve(lines: Iterable[bytes], replies: BinaryIO) -> None:
    """Reply to each command in `lines`; only `Check` may come before `Load`. The workload is closed at the end."""
    with ExitStack() as stack:
        _serve(lines, replies, stack)


def _serve(lines: Iterable[bytes], replies: BinaryIO, stack: ExitStack) -> None:
    workload: Workload | None = None
    phases: Mapping[str, Phase | MeasuringPhase] = {}
    reply: Reply
    for line in lines:
        command = _command(line)
        if isinstance(command, Stop):
            return
        if isinstance(command, Check):
            _check(command)
            _reply(replies, Checked())
        elif isinstance(command, Load):
            workload = _load(command)
            if isinstance(workload, Closing):
                stack.callback(workload.close)
            _reply(replies, msgspec.structs.replace(workload.ready, cpus=cpu_list(os.sched_getaffinity(0))))
        elif workload is None:
            raise WorkloadError("the workload process got a command before its model", "send Load first")
        else:
            try:
                if isinstance(command, Prepare):
                    phases = {}  # drops the previous point: the inputs of two need not fit into memory
                    phases, reply = _prepare(workload, command)
                else:
                    reply = _measure(phases, command, replies)
            except OutOfMemoryError as error:
                phases, reply = {}, OutOfMemory(error.message, error.remedy)
            except LostPointError as error:
                phases, reply = {}, PointLost(error.message, error.remedy, error.stderr_tail)
            _reply(replies, reply)
            gc.collect()  # now, because a window must begin soon after its command


def _command(line: bytes) -> Command:
    try:
        return decode_command(line)
    except ValueError as error:
        raise _unreadable(error) from error


def _unreadable(error: ValueError) -> WorkloadError:
    return WorkloadError(f"the workload process cannot read its command: {error}", "check the workload's options")


def _parsed(command: Check | Load) -> tuple[Declaration, Spec]:
    """Return the declaration of the workload of a command, and its spec.

    A model can never gain privileges; a program of the user can, such as one that sudo starts.
    """
    try:
        declared = registry.find(command.workload)
        if not starts_programs(declared.spec):
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        return declared, from_json(command.spec, declared.spec)
    except ValueError as error:
        raise _unreadable(error) from error


def _check(command: Check) -> None:
    """Import the workload and call its `check`, if it has one."""
    declared, spec = _parsed(command)
    with _engine_errors(declared, spec, "checking the model"):
        module = import_module(declared.implementation)
        if check := getattr(module, "check", None):
            check(spec, command.engine, command.points)


def _load(command: Load) -> Workload:
    declared, spec = _parsed(command)
    with _engine_errors(declared, spec, "loading the model"):
        workload: Workload = import_module(declared.implementation).load(spec, command.engine)
    return workload


@contextmanager
def _engine_errors(declared: Declaration, spec: Spec, doing: str) -> Iterator[None]:
    """Turn the errors of an import and of an allocation into a WorkloadError; the first names what installs it."""
    try:
        yield
    except ImportError as error:
        engine = needed_engine(declared, spec)
        remedy = engine.remedy if engine else ""
        raise WorkloadError(f"{doing}: the engine cannot be loaded: {clean(str(error))}", remedy) from error
    except MemoryError as error:
        raise as_workload_error(error, doing, CANNOT_LOAD) from error


def _prepare(workload: Workload, command: Prepare) -> tuple[Mapping[str, Phase | MeasuringPhase], Prepared]:
    start_ns = time.monotonic_ns()
    try:
        phases = workload.prepare(command.parameters)
        end_ns = time.monotonic_ns()
        model = workload.model_of(command.parameters) if isinstance(workload, Variants) else None
        if model is not None:
            start_ns = max(start_ns, model.load_end_ns)  # the load of a model is not part of its first run
        return phases, Prepared(start_ns, end_ns, model, _work(phases))
    except Exception as error:
        raise as_workload_error(error, f"running {point_name(command.parameters)}", CANNOT_RUN) from error


def _work(phases: Mapping[str, Phase | MeasuringPhase]) -> dict[str, Work]:
    return {name: each.work for name, each in phases.items() if isinstance(each, Phase) and each.work is not None}


def _measure(phases: Mapping[str, Phase | MeasuringPhase], command: Measure, replies: BinaryIO) -> Measured:
    if command.phase not in phases:
        known = ", ".join(phases) or "none before a point is prepared"
        raise WorkloadError(f"the workload has no phase {command.phase!r}", f"the phases are: {known}")
    phase = phases[command.phase]
    try:
        return (partial(measure, work=phase) if isinstance(phase, Phase) else phase.measure)(
            command.phase,
            seconds=command.seconds,
            iterations=command.iterations,
            started=lambda start_ns: _reply(replies, Started(start_ns)),
            ended=lambda end_ns: _reply(replies, Ended(end_ns)),
        )
    except Exception as error:
        raise as_workload_error(error, f"measuring {command.phase}", CANNOT_RUN) from error


def _reply(replies: BinaryIO, reply: Reply) -> None:
    replies.write(encode(reply))
    replies.flush()


def _reply_failure(replies: BinaryIO, error: WorkloadError) -> int:
    with suppress(BrokenPipeError):
        _reply(replies, Failed(error.message, error.remedy))
    return 1


def _reserve_stdout() -> BinaryIO:
    """Reserve the output for replies; everything else that this process prints goes to its error output."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _harden_process() -> None:
    """Restrict this process: no core file, and an end with its parent.

    The kernel ends it with the thread that started it, even in the middle of an iteration, and kills it first if the
    host runs out of memory.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - no path
        file.write(str(_OOM_SCORE))


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) was refused")


if __name__ == "__main__":
    sys.exit(main())
