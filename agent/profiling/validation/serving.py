"""The checks of a load on a server: client, arrivals, place of the server, errors, token counts; pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Literal

from agent.profiling.analysis.serving import errors_text, send_lag_limit
from agent.profiling.run_facts import checked
from agent.profiling.validation.environment import DOMINANT_OTHER_SHARE
from agent.profiling.validation.evidence import IMPORTED

if TYPE_CHECKING:
    from agent.profiling.run_facts import CheckResult
    from agent.profiling.validation.evidence import Evidence, ServingEvidence

MAX_LOOP_LAG_SECONDS = 0.01
MAX_LOOP_LAG_SHARE = 0.05
"""The limit of the lateness of the client's event loop: a time, or a share of the median time to the first token."""
MAX_CLIENT_CPUS = 0.8
"""The load of a client whose event loop runs on one CPU from which requests wait for it."""
MAX_FAILED_SHARE = 0.1
MIN_SERVER_CPUS = 0.1
"""The CPU load from which a server is seen to work on this host, above that of sampling."""


def check_serving(evidence: Evidence, serving: ServingEvidence) -> tuple[CheckResult, ...]:
    """Return the result of every check of a load."""
    return (
        _sends_on_time(serving, "warning" if evidence.mode == IMPORTED else "invalid"),
        _client_not_limiting(serving),
        _arrivals_uncapped(serving),
        _server_elsewhere(evidence, serving),
        _no_errors(serving),
        _requests_succeed(serving),
        _token_counts_known(serving),
    )


def _sends_on_time(serving: ServingEvidence, severity: Literal["warning", "invalid"]) -> CheckResult:
    name, lag = "sends_on_time", serving.figures.send_lag_p99_seconds
    if serving.figures.arrivals == "closed":
        return checked(name, True, "a closed loop has no times at which requests are due", severity)
    if lag is None:
        return checked(name, None, "the times of the sends are unknown", severity)
    limit = send_lag_limit(serving.typical_seconds)
    message = f"the client sent requests up to {_ms(lag)} late (p99; limit {_ms(limit)})"
    return checked(name, lag <= limit, message, severity)


def _client_not_limiting(serving: ServingEvidence) -> CheckResult:
    name, cpus, lag = "client_not_limiting", serving.figures.client_cpus, serving.figures.loop_lag_p99_seconds
    if cpus is None or lag is None:
        return checked(name, None, "the load of the client is unknown", "invalid")
    limit = max(MAX_LOOP_LAG_SECONDS, MAX_LOOP_LAG_SHARE * serving.typical_seconds)
    message = f"the client kept {cpus:.2f} CPUs busy (limit {MAX_CLIENT_CPUS:g}), "
    message += f"its event loop was up to {_ms(lag)} late (p99; limit {_ms(limit)})"
    return checked(name, cpus <= MAX_CLIENT_CPUS and lag <= limit, message, "invalid")


def _arrivals_uncapped(serving: ServingEvidence) -> CheckResult:
    message = "the client sent every request that was due"
    if serving.capped:
        message = "the client reached its limit of requests under way, so later ones were not sent when due"
    return checked("arrivals_uncapped", not serving.capped, message, "invalid")


def _server_elsewhere(evidence: Evidence, serving: ServingEvidence) -> CheckResult:
    """Compare the power under load with that of the idle server, if no other sign shows that it works here."""
    name, idle, cpus = "server_elsewhere", serving.idle_watts, evidence.conditions.self_cpus
    if idle is None or not evidence.watts:
        return checked(name, None, "nothing measures the power of the server's host", "invalid")
    busy = fmean(evidence.watts)
    message = f"{busy:.3g} W under load, {idle.mean:.3g} W with the idle server"
    works = cpus is not None and cpus - (serving.figures.client_cpus or 0.0) > MIN_SERVER_CPUS
    if busy > (idle.upper or idle.mean) or works:
        return checked(name, True, f"the server works on the measured host: {message}", "invalid")
    if (evidence.conditions.max_other_cpus or 0.0) > DOMINANT_OTHER_SHARE * evidence.processors:
        return checked(name, None, f"the load of other programs hides that of the server: {message}", "invalid")
    return checked(name, False, f"the load shows no energy on the measured host: {message}", "invalid")


def _no_errors(serving: ServingEvidence) -> CheckResult:
    errors = serving.figures.errors
    message = f"{sum(errors.values())} of {serving.figures.requests} requests failed: {errors_text(errors)}"
    return checked("no_errors", not errors, message if errors else "no request failed", "warning")


def _requests_succeed(serving: ServingEvidence) -> CheckResult:
    """Limit the failed share: the energy of failed requests is divided by the successful ones."""
    figures = serving.figures
    share = sum(figures.errors.values()) / figures.requests
    message = f"{share:.1%} of the requests failed (limit {MAX_FAILED_SHARE:.0%})"
    return checked("requests_succeed", share <= MAX_FAILED_SHARE, message, "invalid")


def _token_counts_known(serving: ServingEvidence) -> CheckResult:
    name, missing = "token_counts_known", serving.without_counts
    if serving.figures.token_source == "none":  # noqa: S105  no password
        return checked(name, None, "the responses have no token counts", "warning")
    message = f"the token counts of {missing} successful requests are unknown" if missing else "all are known"
    return checked(name, not missing, message, "warning")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"
