"""The parameters of a workload, declared once as the fields of its spec: type, default, help, limits, sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from agent.runtime.console import printable_line
from agent.runtime.numbers import range_text, shortened
from agent.runtime.text_input import is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.workloads.point import Value

    Parse = Callable[[Sequence[str]], Any]
    ParseValues = Callable[[str], Sequence[Value]]

_METADATA = "parameter"


@dataclass(frozen=True, slots=True)
class _Declared:
    help: str
    option: str
    metavar: str
    least: float | None
    most: float | None
    sweep: tuple[Value, ...]
    in_every_point: bool
    parse: Parse | None
    names_axes: bool
    keys_are_axis: bool
    private: bool
    values: ParseValues | None
    replaces: str
    shown: Callable[[Any], object] | None
    fills: Callable[[str], Mapping[str, Any]] | None
    words: bool
    derived: bool


def parameter(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002  the word of Typer and argparse
    option: str = "",
    metavar: str = "",
    least: float | None = None,
    most: float | None = None,
    sweep: tuple[Value, ...] = (),
    in_every_point: bool = False,
    parse: Parse | None = None,
    names_axes: bool = False,
    keys_are_axis: bool = False,
    private: bool = False,
    values: ParseValues | None = None,
    replaces: str = "",
    shown: Callable[[Any], object] | None = None,
    fills: Callable[[str], Mapping[str, Any]] | None = None,
    words: bool = False,
    derived: bool = False,
) -> Any:
    """Declare a field of a spec as a parameter; without a `default` it is required.

    `least` and `most` bound a number. `sweep` makes it sweepable and holds the values of its default sweep, and
    `in_every_point` makes it part of a point even with one value. `parse` reads an option that may be given repeatedly
    into the default's type, an empty mapping if there is none; with `names_axes` it returns the values of axes that the
    user names, and the field holds one value of each; with `keys_are_axis` its keys, if there are several, are the
    values of the parameter itself, and the field of a point holds one of them. `values` reads a list of values that are
    not whole numbers; without a `sweep` the parameter is swept only if it is given. A given parameter excludes the one
    that it `replaces`. `option` is the name of the option if it is not that of the field. A `private` parameter is left
    out of profiles; of another one, `shown` returns the part that a profile may have. `fills` returns values of other
    parameters for a given value, such as the shape of a named model; values that are given as well override them. Those
    of a sweepable parameter are a sequence. `words` makes it the words after the options, preferably after `--`. A
    `derived` parameter has no option: `derived(given)` of the spec class returns its values by its name.
    """
    declared = _Declared(
        *(help, option, metavar, least, most, sweep, in_every_point, parse, names_axes, keys_are_axis, private),
        *(values, replaces, shown),
        fills,
        words,
        derived,
    )
    metadata = {_METADATA: declared}
    if parse is not None and default is MISSING:
        return field(default_factory=dict, hash=False, metadata=metadata)
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter. `default` is MISSING for a required one; `choices` is empty for a type without choices."""

    name: str
    kind: Any
    default: Any
    declared: _Declared

    @property
    def option(self) -> str:
        """The option of the command line: `--prompt-tokens`."""
        return self.declared.option or f"--{self.name.replace('_', '-')}"

    @property
    def sweepable(self) -> bool:
        """Whether a list of values can be given."""
        return bool(self.declared.sweep or self.declared.values or self.declared.derived)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a Literal."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def check(self, value: object) -> None:
        """Raise ValueError that names the option if a value is of another type or out of its limits."""
        least, most = self.declared.least, self.declared.most
        if not _is_utf8(value):
            raise ValueError(f"{self.option}: its value is not UTF-8")
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.option}: {value!r} is not one of {', '.join(self.choices)}")
        if self.kind is int and type(value) is not int:
            raise ValueError(f"{self.option}: {value!r} is not a whole number")
        if (least is not None and not value >= least) or (most is not None and value > most):  # type: ignore[operator]
            raise ValueError(f"{self.option}: {value} is out of range: {range_text(least, most)}")

    def parse_values(self, text: str) -> tuple[Value, ...]:
        """Return the values in a comma-separated list, each once, in the order given. Raises ValueError."""
        if self.declared.values is not None:
            try:
                return tuple(dict.fromkeys(self.declared.values(text)))
            except ValueError as error:
                raise ValueError(f"{self.option}: {error}") from error
        parts = [part.strip() for part in text.split(",")]
        if self.choices:
            for part in parts:
                self.check(part)
            return tuple(dict.fromkeys(parts))
        least, most = self.declared.least, self.declared.most
        digits = len(str(most))
        numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= digits]
        if len(numbers) < len(parts) or not all(least <= number <= most for number in numbers):  # type: ignore[operator]
            example = ",".join(map(str, self.declared.sweep))
            wanted = f"a list of whole numbers from {least} to {most}, such as {example}"
            raise ValueError(f"{self.option}: {shortened(text)!r} is not {wanted}")
        return tuple(dict.fromkeys(numbers))


def _is_utf8(value: object) -> bool:
    """Return whether the process of the workload can receive the texts of a value."""
    if isinstance(value, tuple):
        return all(map(_is_utf8, value))
    return not isinstance(value, str | Path) or is_utf8(str(value))


def parameters_of(spec: type) -> tuple[Parameter, ...]:
    """Return the declared parameters of a spec class, in declared order."""
    hints = get_type_hints(spec)
    return tuple(
        Parameter(each.name, hints[each.name], each.default, each.metadata[_METADATA])
        for each in fields(spec)
        if _METADATA in each.metadata
    )


def check_parameters(spec: Any) -> None:
    """Raise ValueError if a parameter of a spec is of another type than declared, or out of its limits."""
    for each in parameters_of(type(spec)):
        each.check(getattr(spec, each.name))


def settings_of(spec: Any) -> dict[str, Any]:
    """Return the given parameters that a profile may show, without those of its points; of a path only the name."""
    shown = (
        (each.name, (each.declared.shown or _unchanged)(getattr(spec, each.name)))
        for each in parameters_of(type(spec))
        if not (each.declared.private or each.declared.names_axes or each.declared.in_every_point)
    )
    return {name: _plain(value) for name, value in shown if value not in (None, "")}  # a mapping has no hash


def _unchanged(value: object) -> object:
    return value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return printable_line(value.name)
    if isinstance(value, Mapping):
        return {key: _plain(element) for key, element in value.items()}
    return list(value) if isinstance(value, tuple) else value


def paths_in(spec: object) -> tuple[Path, ...]:
    """Return every path in a spec, those in its mappings and records included."""
    paths: list[Path] = []

    def note(value: Path) -> str:
        paths.append(value)
        return str(value)

    msgspec.to_builtins(spec, enc_hook=note)
    return tuple(dict.fromkeys(paths))
