"""The failed checks of a profile, each as an observation, its likely cause and an action; then the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.render.crosscheck_text import fault_lines
from agent.render.tables import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Json = dict[str, Any]
_INDENT = 2
_STOP_OTHERS = "Stop the other programs and measure again."
_DOCTOR = "Run `inferometer doctor` to see the state of the sensor."
_WARM_UP = "Warm up longer with --warmup-seconds."
_LONGER = "Use longer windows: --standard, or --window-seconds."
_FREE_CLIENT = "Give the client a CPU of its own, or choose a lower load."
ADVICE: Mapping[str, tuple[str, str]] = {
    "repeats": ("The run ended early, or --repeats is below 3.", "Run it again to its end."),
    "samples_bracket_window": ("A sensor stopped answering, or it started late.", _DOCTOR),
    "gap_between_samples": (
        "The sampling thread had no CPU for that long.",
        "Reserve a CPU for it with fewer --threads, or stop other programs.",
    ),
    "samples_in_window": ("The sensor refreshes too slowly for these windows.", _LONGER),
    "sensors_present": ("A device or its driver is gone.", _DOCTOR),
    "counters_uninterrupted": (
        "The driver or the device was restarted, or the host was suspended.",
        "Measure again.",
    ),
    "window_matches_iterations": (
        "The workload process was stopped or swapped out.",
        "Measure again with enough free memory.",
    ),
    "energy_spread": (
        "Other programs, changing clock frequencies or short windows cause this.",
        "Stop other programs, or use --standard.",
    ),
    "sensors_not_stuck": ("The sensor does not update.", _DOCTOR),
    "sensors_agree": (
        "One of the two sensors is inaccurate or covers other parts.",
        "Compare both with a wall meter before you rely on absolute values.",
    ),
    "steady": ("The hardware was still warming up, or its clock frequencies changed.", _WARM_UP),
    "steady_power": ("The hardware was still warming up, or its clock frequencies changed.", _WARM_UP),
    "steady_within_windows": ("The hardware was still warming up, or its clock frequencies changed.", _WARM_UP),
    "idle_drift": (
        "Other programs started or ended, or the temperature of the host changed.",
        "Leave the host idle for some minutes and measure again.",
    ),
    "not_throttled": (
        "The hardware was too hot, or short of power.",
        "Improve its cooling or its power supply and measure again.",
    ),
    "below_power_limit": (
        "The workload can use more power than the limit allows.",
        "Raise the limit only if you run it without one; the figures hold for this limit.",
    ),
    "cpu_not_throttled": ("The CPU was too hot.", "Improve its cooling and measure again."),
    "background_load": ("Their work is in the energy and takes time from the workload.", _STOP_OTHERS),
    "workload_dominates": ("Most of the energy may be that of other programs.", _STOP_OTHERS),
    "cpus_idle_at_baseline": ("The idle power contains their work, so DYNAMIC is too low.", _STOP_OTHERS),
    "accelerators_idle_at_baseline": ("The idle power contains that work, so DYNAMIC is too low.", _STOP_OTHERS),
    "steal_time": (
        "The physical host is shared with other guests.",
        "Measure while they are idle, or on dedicated hardware.",
    ),
    "cpu_quota_not_reached": (
        "The engine uses more CPU time than the container may.",
        "Raise the quota, or give fewer --threads.",
    ),
    "settings_unchanged": (
        "A power manager or another user changed them.",
        "Fix the settings of the host and measure again.",
    ),
    "clocks_steady": (
        "Temperature, a power limit or the governor changed the frequency.",
        "Select the performance governor, or warm up longer with --warmup-seconds.",
    ),
    "devices_present": ("Their energy is not in the total.", _DOCTOR),
    "sends_on_time": ("The client had too little CPU time.", _FREE_CLIENT),
    "client_not_limiting": ("The figures show the client, not the server.", _FREE_CLIENT),
    "arrivals_uncapped": ("The server is overloaded at this rate.", "Choose a lower --rate."),
    "server_elsewhere": (
        "The URL may lead to a gateway or a tunnel to another host.",
        "Run the profile on the host of the server, or measure that host with --energy-from.",
    ),
    "no_errors": ("The server refused or dropped them.", "Read its log, or choose a lower load."),
    "requests_succeed": ("The server is overloaded or broken.", "Read its log, or choose a lower load."),
    "token_counts_known": (
        "Energy per token counts the known ones alone.",
        "Let the server report its usage.",
    ),
    "rigorous_windows": ("--window-seconds is below that of rigorous mode.", "Omit it, or use --standard."),
}
"""Likely cause and action by check. The messages of the other checks contain both."""


IMPORT_ADVICE: Mapping[str, tuple[str, str]] = {
    **ADVICE,
    "repeats": ("One result shows no spread.", "Import several results of the same load."),
    "gap_between_samples": ("The service was stopped, or had no CPU for that long.", "Run the load again."),
    "samples_bracket_window": ("The service did not record all of the load.", "Run the load again."),
    "samples_in_window": ("The sensor refreshes too slowly for a load that short.", "Run a longer load."),
}
"""The same for imported results, whose load ran without this program."""


def profile_warnings(document: Mapping[str, Any], width: int) -> str:
    """Return the failed checks and the notes, empty if there are none."""
    return "\n".join(wrapped(line, width, _INDENT) for line in warning_lines(document))


def warning_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the failed checks, then the notes, each as a paragraph."""
    advice = IMPORT_ADVICE if document["plan"]["mode"] == "imported" else ADVICE
    yield from fault_lines(document.get("cross_checks", ()))
    yield from _failed_checks(document["points"], advice)
    yield from (f"Note: {note}" for note in document["notes"])


def _failed_checks(points: Sequence[_Json], advice: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Yield every failed check once, with its points and the message of one; those that withhold energy come first."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for point in points:
        for check in (each for each in point["checks"] if each["status"] == "failed"):
            found.setdefault((check["severity"], check["name"]), []).append((point["name"], check["message"]))
    for (severity, name), failures in sorted(found.items(), key=lambda item: item[0][0] != "invalid"):
        names = [point for point, _ in failures]
        where = "every point" if len(names) == len(points) > 1 else ", ".join(names)
        first, message = failures[0]
        alike = len({words for _, words in failures}) == 1
        where += "" if alike else f", here {first}"
        kind = "Invalid" if severity == "invalid" else "Warning"
        yield " ".join((f"{kind} ({where}): {message}.", *advice.get(name, ()), f"[{name}]"))
