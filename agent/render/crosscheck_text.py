"""The comparison of meters with the sensors below them as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.tables import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_Json = dict[str, Any]
_INDENT = 10
_FAULTS = {"double_counted", "dynamic_part_missing"}


def crosscheck_text(checks: Sequence[_Json], width: int) -> str:
    """Return a paragraph for each layer: the meters, the sensors below, the verdict, and the line behind it."""
    return "\n\n".join(_paragraph(check, width) for check in checks)


def _paragraph(check: _Json, width: int) -> str:
    lines = [wrapped(f"{_names(check['meters'])} against {_names(check['below'])}", width, 2)]
    facts = [("  verdict", f"{words_of(check['verdict'])}: {check['reason']}")]
    if check["slope"] is not None:
        facts.append(("  slope", f"{_bounds(check['slope'])}; from 1 to {check['slope_limit']:.2f} is plausible"))
        facts.append(("  offset", f"{_bounds(check['offset_watts'])} W"))
    facts.append(("  windows", str(check["windows"])))
    return "\n".join([*lines, *(wrapped(text, width, _INDENT, label) for label, text in facts)])


def layer_lines(checks: Iterable[_Json]) -> Iterator[str]:
    """Yield one line for each layer."""
    for check in checks:
        line = "" if check["slope"] is None else f", slope {_bounds(check['slope'])}, offset "
        line += "" if check["slope"] is None else f"{_bounds(check['offset_watts'])} W"
        verdict = words_of(check["verdict"])
        yield f"{_names(check['meters'])} against {_names(check['below'])}: {verdict}{line}: {check['reason']}"


def fault_lines(checks: Iterable[_Json]) -> Iterator[str]:
    """Yield a warning for each layer whose sum has a part twice, or lacks one that varies with the load."""
    for check in checks:
        if check["verdict"] in _FAULTS:
            yield (
                f"Warning (sensors of this host): {_names(check['meters'])} and the sensors below it do not fit: "
                f"{check['reason']}. Compare the sensors with `inferometer devices`. [cross_check]"
            )


def words_of(verdict: str) -> str:
    """Return a verdict as words."""
    return verdict.replace("_", " ")


def _names(sensors: Iterable[_Json]) -> str:
    return " + ".join(f"{each['device']}/{each['domain']}" for each in sensors)


def _bounds(value: _Json) -> str:
    return f"{plain(value['mean'])} ({plain(value['lower'])} to {plain(value['upper'])})"
