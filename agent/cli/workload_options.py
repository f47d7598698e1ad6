"""The options of `inferometer profile NAME`, made from the parameters that the workload declares."""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.numbers import choice, real, whole
from agent.cli.options import refuse_foreign_link
from agent.workloads.axes import request
from agent.workloads.parameter import Parameter, parameters_of, paths_in

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from agent.workloads.declaration import Spec, Workload
    from agent.workloads.point import Axes


def options_of(workload: Workload) -> list[inspect.Parameter]:
    """Return the own options of a workload's command, in declared order, as parameters of a function."""
    return [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=_default(each), annotation=_annotation(each)
        )
        for each in parameters_of(workload.spec)
        if not each.declared.derived
    ]


def _default(each: Parameter) -> Any:
    if each.declared.keys_are_axis:
        return inspect.Parameter.empty
    if each.declared.parse is not None or each.sweepable:
        return None
    if isinstance(each.default, float) and each.default.is_integer():
        return int(each.default)  # the help shows 120, not 120.0
    return inspect.Parameter.empty if each.default is MISSING else each.default


def _annotation(each: Parameter) -> Any:
    declared = each.declared
    if declared.words:
        return Annotated[list[str], typer.Argument(metavar=f"{declared.metavar}...", help=declared.help)]
    if declared.parse is not None:
        return Annotated[
            list[str] | None, typer.Option(each.option, metavar=declared.metavar or None, help=declared.help)
        ]
    if each.sweepable:
        metavar = declared.metavar or ("WORD,..." if each.choices else "N,N,...")
        default = f" [default: {','.join(map(str, declared.sweep))}]" if declared.sweep else ""
        return Annotated[list[str] | None, typer.Option(each.option, metavar=metavar, help=f"{declared.help}{default}")]
    return Annotated[each.kind, _scalar(each)]


def _scalar(each: Parameter) -> Any:
    """Return the option of a parameter that takes one value."""
    declared = each.declared
    if each.kind is int:
        least, most = (None if limit is None else int(limit) for limit in (declared.least, declared.most))
        return whole(declared.help, least, most, each.option)
    if each.kind is float:
        return real(declared.help, declared.least, declared.most, declared.metavar or "NUMBER", each.option)
    if each.choices:
        return choice(each.kind, declared.help, each.option)
    if each.kind is bool:
        return typer.Option(f"{each.option}/--no-{each.option.removeprefix('--')}", help=declared.help)
    return typer.Option(each.option, metavar=declared.metavar or "TEXT", help=declared.help)


def requested(workload: Workload, values: Mapping[str, Any], omitted: Container[str]) -> tuple[Spec, Axes]:
    """Return the spec and the axes that the options ask for; a list given several times has all of its values.

    The values of `omitted` parameters are defaults. Raises ValueError that names the option. Ends the command if a link
    of another user leads to a file.
    """
    parsed: dict[str, Any] = {}
    for each in parameters_of(workload.spec):
        if each.declared.derived:
            continue
        value = values[each.name]
        if each.declared.words:
            parsed[each.name] = tuple(value)
        elif each.declared.parse is not None:
            parsed[each.name] = each.declared.parse(value or [])
        elif isinstance(value, Path):
            parsed[each.name] = _existing_file(each.option, value)
        elif not each.sweepable:
            if each.name not in omitted:
                parsed[each.name] = value
        elif value:
            parsed[each.name] = each.parse_values(",".join(value))
    spec, axes = request(workload.spec, parsed)
    for path in paths_in(spec):
        refuse_foreign_link(path)
    return spec, axes


def _existing_file(option: str, path: Path) -> Path:
    if not path.is_file():
        found = "is not a regular file" if path.exists() else "does not exist"
        raise ValueError(f"{option}: {path} {found}; give the path of a file")
    return path.absolute()


def take_options(command: Callable[..., None], options: Sequence[inspect.Parameter]) -> None:
    """Give a command these options: Typer reads them from its signature and its annotations."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *options]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
