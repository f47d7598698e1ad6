"""Runs a program in windows: whole runs, or the part of one run between two lines of its output."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from agent.workloads.axes import at_point
from agent.workloads.command.counts import Counter, parse_pattern
from agent.workloads.command.program import Program, adopt_orphans, end_children
from agent.workloads.errors import LostPointError, WorkloadError
from agent.workloads.model_record import LoadedModel
from agent.workloads.point import encode_point
from agent.workloads.runner.protocol import Measured, Ready
from agent.workloads.runner.timing import LEAD_NS, no_garbage_collection

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

    from agent.workloads.command.spec import CommandSpec
    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.point import Point

_SIGNAL_EXIT_OFFSET = 128  # of a shell
_REMEDY = "correct the expression, or let the program print such a line"


def check(spec: CommandSpec, _engine: EngineSpec, points: Sequence[Point]) -> None:
    """Raise WorkloadError if a program of a point is not installed."""
    for point in points:
        found = at_point(spec, point)
        for option, command in (("", found.command_line()), *(("--prepare: ", each) for each in found.preparation())):
            if shutil.which(command[0]) is None:
                remedy = "give the name of an installed program or its path; it runs without a shell"
                raise WorkloadError(f"{option}{command[0]}: command not found", remedy)


def load(spec: CommandSpec, _engine: EngineSpec) -> CommandWorkload:
    """Prepare this process for programs: when it is terminated, it ends all that they started."""
    signal.signal(signal.SIGTERM, _exit)
    adopt_orphans()
    return CommandWorkload(spec)


def _exit(number: int, _frame: object) -> None:
    """End what this process started, also a program whose start was interrupted, and this process at once."""
    end_children()
    os._exit(_SIGNAL_EXIT_OFFSET + number)


class CommandWorkload:
    """The programs of a run. Each point is tried once, when it is first prepared."""

    def __init__(self, spec: CommandSpec) -> None:
        self._spec = spec
        self._phases: dict[str, CommandPhase] = {}
        self.ready = Ready(
            engine="program",
            version="",
            provider="program",
            threads=0,
            precision=None,
            parameters=None,
            model_bytes=None,
            sha256=None,
            phases=spec.phases,
            load_seconds=0.0,
        )

    def prepare(self, parameters: Point) -> Mapping[str, CommandPhase]:
        """Run the program of a point once, unless it has run, and return its phase."""
        name = encode_point(parameters)
        if name not in self._phases:
            phase = CommandPhase(at_point(self._spec, parameters))
            phase.measure("run", 0.0, 1, _ignore, _ignore)
            self._phases[name] = phase
        return {"run": self._phases[name]}

    def model_of(self, parameters: Point) -> LoadedModel | None:
        """Return the load of the first run of a point, None without --ready-when."""
        return self._phases[encode_point(parameters)].loaded


def _ignore(_time_ns: int) -> None:
    """Ignore an edge of the window of a trial."""


class CommandPhase:
    """The runs of one program. `loaded` is the load of its first run, None without --ready-when."""

    def __init__(self, spec: CommandSpec) -> None:
        self._spec = spec
        self.loaded: LoadedModel | None = None

    def measure(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object],
        ended: Callable[[int], object],
    ) -> Measured:
        """Run the program for at least `seconds` and `iterations`, or once if a window is a part of a run.

        Raises LostPointError if a run fails or has no count.
        """
        for command in self._spec.preparation():
            try:
                with Program(command, _ignore_line, show=self._spec.show_output) as program:
                    program.wait_until_end()
                program.check()
            except LostPointError as error:
                raise LostPointError(f"--prepare: {error.message}", "correct the command", error.stderr_tail) from error
        with no_garbage_collection():
            measure = self._part_of_run if self._spec.one_run else self._whole_runs
            return measure(phase, seconds, iterations, started, ended)

    def _whole_runs(
        self,
        phase: str,
        seconds: float,
        iterations: int,
        started: Callable[[int], object],
        ended: Callable[[int], object],
    ) -> Measured:
        ends, counts, shortest_ns = list[int](), list[tuple[int, int]](), int(seconds * 1e9)
        start = _begin(started)
        while len(ends) < max(iterations, 1) or ends[-1] - start < shortest_ns:
            counting = _Counting(self._spec)
            with Program(self._spec.command_line(), counting.line, show=self._spec.show_output) as program:
                program.wait_until_end()
                ends.append(program.end_ns or 0)
                if len(ends) >= iterations and ends[-1] - start >= shortest_ns:
                    ended(ends[-1])
            counts.append(self._counts(program, counting))
        return _measured(phase, start, ends, counts)

    def _part_of_run(
        self,
        phase: str,
        _seconds: float,
        _iterations: int,
        started: Callable[[int], object],
        ended: Callable[[int], object],
    ) -> Measured:
        ready, done = (parse_pattern("", each) for each in (self._spec.ready_when, self._spec.done_when))
        counting, missed = _Counting(self._spec), ""
        start = 0 if ready else _begin(started)
        with Program(self._spec.command_line(), counting.line, show=self._spec.show_output) as program:
            if ready is not None:
                start, missed = _at_line(program, ready, "--ready-when")
                if not missed:
                    started(start)
            if done is not None and not missed:
                end, missed = _at_line(program, done, "--done-when")
            else:
                end = program.wait_until_end() or 0
            if not missed:
                ended(end)
            if done is not None:
                program.stop()
        counts = self._counts(program, counting, missed)
        if ready is not None and self.loaded is None:
            self.loaded = LoadedModel(None, None, None, program.start_ns, (start - program.start_ns) / 1e9)
        return _measured(phase, start, [end], [counts])

    def _counts(self, program: Program, counting: _Counting, missed: str = "") -> tuple[int, int]:
        """Return inferences and tokens of an ended run. Raises LostPointError if it failed."""
        if not self._spec.ignore_failure:
            program.check()
        if missed:
            raise LostPointError(missed, _REMEDY, program.tail())
        return counting.counts(program)


class _Counting:
    """The counters of one run; they note the files that they read before the run."""

    def __init__(self, spec: CommandSpec) -> None:
        self._inferences, self._tokens = map(Counter, spec.sources())

    def line(self, text: str) -> None:
        self._inferences.line(text)
        self._tokens.line(text)

    def counts(self, program: Program) -> tuple[int, int]:
        return self._inferences.count(program.tail), self._tokens.count(program.tail)


def _ignore_line(_line: str) -> None:
    """Ignore the output of a preparation."""


def _begin(started: Callable[[int], object]) -> int:
    """Announce the begin of a window, and return at that time."""
    start = time.monotonic_ns() + LEAD_NS
    started(start)
    while time.monotonic_ns() < start:
        pass
    return start


def _at_line(program: Program, pattern: re.Pattern[str], option: str) -> tuple[int, str]:
    """Return the time of the first line that matches, and an empty text; a message if the program ended before."""
    found = program.wait_for(pattern)
    return (found or 0), "" if found is not None else f"{option}: no line of the output matches"


def _measured(phase: str, start: int, ends: Sequence[int], counts: Sequence[tuple[int, int]]) -> Measured:
    return Measured(
        phase=phase,
        start_ns=start,
        end_ns=ends[-1],
        iterations=len(ends),
        inferences=sum(inferences for inferences, _ in counts),
        input_tokens=0,
        output_tokens=sum(tokens for _, tokens in counts),
        latencies_seconds=tuple((end - before) / 1e9 for before, end in zip([start, *ends], ends, strict=False)),
        step_seconds=(),
    )
