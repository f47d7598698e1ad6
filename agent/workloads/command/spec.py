"""The declaration of the workload that runs any program: its parameters and its phase."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  the declaration resolves the annotations
from dataclasses import dataclass
from typing import Any, ClassVar

from agent.workloads.command.counts import MOST, Source, parse_json_path, parse_pattern, shown_json_path
from agent.workloads.command.words import (
    COMMAND,
    Command,
    filled,
    filled_text,
    names_of,
    parse_parameters,
    parse_prepare,
    parse_versus,
)
from agent.workloads.declaration import Workload
from agent.workloads.parameter import check_parameters, parameter
from agent.workloads.point import Value  # noqa: TC001 - same


def _unless_default(value: int) -> int | None:
    """Return a count or a flag for a profile, None for the default, which states nothing."""
    return None if value in {0, 1} and value is not True else value


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """Programs to run. `command` is the name of the one that runs, `params` has a value for each placeholder."""

    program: Command = parameter(
        help="The program with its arguments, after --.", metavar="COMMAND", words=True, private=True
    )
    versus: tuple[Command, ...] = parameter(
        (),
        help="Another program with its arguments, to compare; may be given repeatedly.",
        option="--vs",
        metavar="'COMMAND'",
        parse=parse_versus,
        private=True,
    )
    names: tuple[str, ...] = parameter(
        (),
        help="Name of each command in the profile, in order, instead of that of its program.",
        option="--name",
        metavar="NAME",
        parse=tuple,
        private=True,
    )
    params: Mapping[str, Value] = parameter(
        help="Values for the placeholder {NAME} in the commands; a list sweeps them.",
        option="--param",
        metavar="NAME=V,V,...",
        parse=parse_parameters,
        names_axes=True,
    )
    prepare: tuple[Command, ...] = parameter(
        (),
        help="Command to run before each window, outside of it; may be given repeatedly.",
        metavar="'COMMAND'",
        parse=parse_prepare,
        private=True,
    )
    count: int = parameter(
        1, help="Inferences, or other units of work, of one run.", least=1, most=MOST, shown=_unless_default
    )
    count_regex: str = parameter(
        "", help="Inferences: the last match in the output, or its first group.", metavar="REGEX"
    )
    count_json: str = parameter(
        "",
        help="Inferences: a number in a JSON file that the run writes.",
        metavar="FILE:PATH",
        shown=shown_json_path,
    )
    tokens: int = parameter(0, help="Output tokens of one run.", least=0, most=MOST, shown=_unless_default)
    tokens_regex: str = parameter("", help="Output tokens, as --count-regex.", metavar="REGEX")
    tokens_json: str = parameter("", help="Output tokens, as --count-json.", metavar="FILE:PATH", shown=shown_json_path)
    ready_when: str = parameter(
        "", help="A window begins at the first line of the output that matches; before is loading.", metavar="REGEX"
    )
    done_when: str = parameter(
        "", help="A window ends at the first line that matches, instead of the end of the program.", metavar="REGEX"
    )
    ignore_failure: bool = parameter(False, help="Accept every exit status of the programs.", shown=_unless_default)
    show_output: bool = parameter(False, help="Print the output of the programs on standard error.", private=True)
    command: str = parameter("", help="Name of the command.", in_every_point=True, derived=True)

    workload: ClassVar[str] = "command"

    @staticmethod
    def derived(given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Return the names of the commands, which are the values of `command`."""
        return {COMMAND: names_of((given["program"], *given.get("versus", ())), given.get("names", ()))}

    def __post_init__(self) -> None:
        check_parameters(self)
        if not self.program:
            raise ValueError("there is no command: give it after --")
        for option in ("count_regex", "tokens_regex", "ready_when", "done_when"):
            parse_pattern(f"--{option.replace('_', '-')}", getattr(self, option))
        self._check_count("--count", self.count != 1, self.count_regex, self.count_json)
        self._check_count("--tokens", self.tokens != 0, self.tokens_regex, self.tokens_json)
        words = [*self.program, *sum((*self.versus, *self.prepare), ()), self.count_json, self.tokens_json]
        for name in self.params:
            if not any(f"{{{name}}}" in word for word in words):
                raise ValueError(f"--param {name}: no command contains {{{name}}}")

    @staticmethod
    def _check_count(option: str, fixed: bool, regex: str, json: str) -> None:
        parse_json_path(f"{option}-json", json)
        if fixed + bool(regex) + bool(json) > 1:
            raise ValueError(f"{option}, {option}-regex and {option}-json exclude each other: give one of them")

    @property
    def label(self) -> str:
        """The programs in a message."""
        names = self._names()
        return f"the program {names[0]}" if len(names) == 1 else "one of the programs"

    @property
    def phases(self) -> tuple[str, ...]:
        """The one phase of a run."""
        return ("run",)

    @property
    def programs(self) -> tuple[Command, ...]:
        """Every command of the run, with its placeholders."""
        return (self.program, *self.versus)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on the windows in the profile."""
        if not self.one_run:
            return ()
        first = "the line of --ready-when" if self.ready_when else "the start of the program"
        last = "the line of --done-when" if self.done_when else "its end"
        return (f"each window is one run, from {first} to {last}, whatever the window length of the plan",)

    @property
    def one_run(self) -> bool:
        """Whether a window is a part of one run, so that it cannot have several."""
        return bool(self.ready_when or self.done_when)

    def _names(self) -> tuple[str, ...]:
        return names_of(self.programs, self.names)

    def command_line(self) -> Command:
        """Return the command of this point."""
        return filled(self.programs[self._names().index(self.command)], self.params)

    def preparation(self) -> tuple[Command, ...]:
        """Return the commands to run before each window of this point."""
        return tuple(filled(each, self.params) for each in self.prepare)

    def sources(self) -> tuple[Source, Source]:
        """Return the sources of the counts of this point: inferences and output tokens."""
        return (
            _source("--count", self.count, self.count_regex, filled_text(self.count_json, self.params)),
            _source("--tokens", self.tokens, self.tokens_regex, filled_text(self.tokens_json, self.params)),
        )


def _source(option: str, fixed: int, regex: str, json: str) -> Source:
    pattern = parse_pattern(f"{option}-regex", regex)
    return Source(option, fixed, pattern, parse_json_path(f"{option}-json", json))


WORKLOAD = Workload(
    spec=CommandSpec,
    implementation="agent.workloads.command.workload",
    help="""Profile any program.

    Each window runs the program, without a shell, until the length of a window is reached: once if it takes longer. The
    energy is that of the whole machine during the run, over the number of inferences (or of any other unit of work)
    that --count, --count-regex or --count-json gives. --vs compares programs: their runs alternate in random order.

    The profile has the name of the program and not its arguments. An exit status other than 0 fails the point.

    Example: inferometer profile command -- ./infer --model net.bin

    Example: inferometer profile command --count-regex 'images: (\\d+)' --ready-when 'model loaded' -- ./classify photos

    Example: inferometer profile command --vs 'zstd -kf big.bin' -- gzip -kf big.bin

    Example: inferometer profile command --param watts=150,250 --prepare 'nvidia-smi -pl {watts}' -- ./infer
    """,
)
