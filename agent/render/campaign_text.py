"""The result of a campaign's run as text: one table of its hosts and workloads, reasons, and the drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.render.figures import figure
from agent.render.tables import plain, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_Json = Mapping[str, Any]
_MOST_REASONS = 50
_CHECK_COLUMNS = ["HOST", "STATE", "VERSION", "ENERGY", "CLOCK WITHIN>"]
_COLUMNS = ["HOST", "WORKLOAD", "PROFILES>", "POINT", "INFERENCES/S", "ENERGY OF AN INFERENCE", "OF A TOKEN", "STATE"]


def campaign_text(result: _Json, width: int) -> str:
    """Return a result (`CampaignResult` as JSON) in lines of up to `width` characters."""
    done = sum(each["status"] == "done" for each in result["profiles"])
    refused = sum(each["status"] == "refused" for each in result["hosts"])
    title = f"{result['campaign']}, run {result['run']}: {result['status']}. "
    title += (
        f"{done} of {_counted(len(result['profiles']), 'profile')} done on {_counted(len(result['hosts']), 'host')}"
    )
    title += f", {_counted(refused, 'host')} refused." if refused else "."
    hosts = {each["host"]: each for each in result["hosts"]}
    states: dict[tuple[str, str], set[str]] = {}
    for each in result["profiles"]:
        states.setdefault((each["host"], each["workload"]), set()).add(each["status"])
    rows = [_row(each, hosts[each["host"]], states[each["host"], each["workload"]]) for each in result["figures"]]
    parts = [
        wrapped(title, width, 2),
        table(_COLUMNS, rows, width),
        "\n".join(_limited(list(_reasons(result)), width)),
        "\n".join(_drift_lines(result, width)),
    ]
    return "\n\n".join(part for part in parts if part)


def check_text(result: _Json, width: int) -> str:
    """Return the verification of the hosts alone."""
    rows = [
        [
            each["host"],
            "REFUSED" if each["problems"] else each["status"],
            each["version"] or "-",
            each["energy"] or "-",
            "-" if each["clock_seconds"] is None else f"{each['clock_seconds']:.2f} s",
        ]
        for each in result["hosts"]
    ]
    reasons = "\n".join(_limited(list(_host_reasons(result)), width))
    return "\n\n".join(part for part in (table(_CHECK_COLUMNS, rows, width), reasons) if part)


def _row(each: _Json, host: _Json, states: Collection[str]) -> list[str]:
    source = f" {each['energy_source']}" if each["energy_source"] in {"estimated", "mixed"} else ""
    energy, token = each["joules_per_inference"], each["joules_per_output_token"]
    rate = each["inferences_per_second"]
    return [
        each["host"],
        each["workload"],
        f"{each['done']}/{each['planned']}",
        each["point"] or "-",
        figure(rate) if rate else "-",
        f"{figure(energy, 'J')}{source}" if energy else "-",
        figure(token, "J") if token else "-",
        _state(each, host, states),
    ]


def _state(each: _Json, host: _Json, states: Collection[str]) -> str:
    if each["done"] == each["planned"]:
        return "done"
    if host["problems"]:
        return "REFUSED"
    named = {"failed": "FAILED", "fetched": "NOT STORED", "running": "running"}
    return next((text for status, text in named.items() if status in states), "waiting")


def _reasons(result: _Json) -> Iterator[str]:
    yield from _host_reasons(result)
    yield from (
        f"{each['host']}: {each['workload']} {each['repetition']}: {each['reason']}"
        for each in result["profiles"]
        if each["reason"]
    )


def _host_reasons(result: _Json) -> Iterator[str]:
    for each in result["hosts"]:
        yield from (f"{each['host']}: {problem}" for problem in each["problems"])
        yield from (f"{each['host']}: note: {note}" for note in each["notes"])


def _limited(reasons: Sequence[str], width: int) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        yield wrapped(f"{reason}.", width, 2)
    if len(reasons) > _MOST_REASONS:
        yield f"{len(reasons) - _MOST_REASONS} more reasons: --json lists all."


def _drift_lines(result: _Json, width: int) -> Iterator[str]:
    drift = result["drift"]
    if drift is None:
        return
    regressed = [each for each in drift["changes"] if each["regressed"]]
    verdict = _counted(len(regressed), "regression") if regressed else "no significant regression"
    against = f"against run {result['accepted']}" if result["accepted"] else "no earlier run is accepted"
    yield wrapped(f"Drift: {verdict}, {against}, {_counted(len(drift['changes']), 'figure')} tested.", width, 2)
    for each in regressed:
        interval = f"{_bound(each['lower'])} to {_bound(each['upper'])}"
        change = f"{each['metric']} is {plain(each['ratio'])} times that of the accepted run ({interval}"
        chance = f"p = {each['p']:.2g}" if each["p"] >= 1e-4 else "p < 0.0001"  # noqa: PLR2004  as it is printed
        yield wrapped(f"REGRESSION {each['subject']}, {each['point']}: {change}, {chance}).", width, 2)
    yield from (wrapped(f"not tested: {reason}.", width, 2) for reason in drift["untested"])


def _counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 host`, `2 hosts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _bound(value: float | None) -> str:
    return "unbounded" if value is None else plain(value)
