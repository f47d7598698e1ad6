"""From requested values to a spec and the swept parameters, and from a point to the spec of that point."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agent.workloads.parameter import parameters_of
from agent.workloads.point import points_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.declaration import Spec
    from agent.workloads.point import Axes, Point, Value

_SpecT = TypeVar("_SpecT")


def request(kind: type[_SpecT], given: Mapping[str, Any]) -> tuple[_SpecT, Axes]:
    """Return the spec of a run and the values of each swept parameter. Raises ValueError that names the option.

    `given` holds the given parameters by name: all values of a sweepable one, else the value; a spec class with
    `derived(given)` adds those that follow from others. The spec has the largest
    value of each swept parameter, so that a model made from it has room for every point.
    """
    derived = getattr(kind, "derived", None)
    given = given if derived is None else {**given, **derived(given)}
    for each in parameters_of(kind):
        if each.declared.fills is not None and each.name in given:
            given = {**each.declared.fills(given[each.name]), **given}
    own, named = _axes(kind, given)
    axes, values = {**own, **named}, dict(given)
    for each in parameters_of(kind):
        if each.declared.names_axes:
            values[each.name] = {name: _largest(several) for name, several in named.items()}
        elif each.sweepable and (each.name in given or each.name in own):
            values[each.name] = _largest(given.get(each.name, each.declared.sweep))
    spec = kind(**values)
    phases = {cast("Spec", at_point(spec, point)).phases for point in points_of(axes)}
    if len(phases) > 1:
        shown = " or ".join(sorted(", ".join(each) for each in phases))
        raise ValueError(f"the points have different phases ({shown}): profile them in separate runs")
    return spec, axes


def _axes(kind: type, given: Mapping[str, Any]) -> tuple[dict[str, Sequence[Value]], dict[str, Sequence[Value]]]:
    """Return the axes that are parameters, in declared order, and those that the user names.

    A parameter is an axis if it has several values, or belongs to every point; named axes, and the parameter that
    replaces it, take the place of its default.
    """
    named: dict[str, Sequence[Value]] = {}
    for each in parameters_of(kind):
        if each.declared.names_axes:
            named.update(given.get(each.name, {}))
    axes: dict[str, Sequence[Value]] = {}
    replaced = _replaced(kind, given)
    for each in parameters_of(kind):
        if each.declared.keys_are_axis and len(given.get(each.name, ())) > 1:
            axes[each.name] = tuple(given[each.name])
        omitted = each.name not in given and (named or each.name in replaced or not each.declared.sweep)
        if not each.sweepable or omitted:
            continue
        values = given.get(each.name, each.declared.sweep)
        if each.declared.in_every_point or len(values) > 1:
            axes[each.name] = values
    if both := axes.keys() & named.keys():
        name = min(both)
        raise ValueError(f"--{name.replace('_', '-')} and the dimension {name!r} name the same parameter: give one")
    return axes, named


def _replaced(kind: type, given: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters whose place others take. Raises ValueError if both are given."""
    options = {each.name: each.option for each in parameters_of(kind)}
    replacing = {each.declared.replaces: each.option for each in parameters_of(kind) if each.name in given}
    for name, option in replacing.items():
        if name in given:
            raise ValueError(f"{options[name]} and {option} exclude each other: give one of them")
    return frozenset(replacing)


def _largest(values: Sequence[Value]) -> Value:
    return values[0] if any(isinstance(each, str) for each in values) else max(values)


def at_point(spec: _SpecT, point: Point) -> _SpecT:
    """Return the spec with the values of a point. Raises ValueError for a parameter that it lacks."""
    fields = parameters_of(type(spec))
    axis = next((each.name for each in fields if each.declared.names_axes), None)
    named = {} if axis is None else {**getattr(spec, axis)}
    changes: dict[str, Any] = {name: value for name, value in point.items() if name not in named}
    if unknown := changes.keys() - {each.name for each in fields}:
        raise ValueError(f"unknown parameters: {', '.join(sorted(unknown))}")
    for each in fields:
        if each.declared.keys_are_axis and each.name in changes:
            changes[each.name] = _only(getattr(spec, each.name), changes[each.name])
    if axis is not None:
        changes[axis] = {name: point.get(name, value) for name, value in named.items()}
    return replace(spec, **changes)  # type: ignore[type-var]


def _only(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping with one of its keys. Raises ValueError."""
    if key not in values:
        raise ValueError(f"{key!r} is not one of {', '.join(values)}")
    return {key: values[key]}
