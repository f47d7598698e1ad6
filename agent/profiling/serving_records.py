"""The serving figures of a point in the profile document, as frozen records: outcomes, lengths, goodput, the client."""

from __future__ import annotations

from typing import Literal

import msgspec

# The schema is generated from these annotations, so they are imported at run time.
from agent.profiling.run_facts import LatencySummary  # noqa: TC001


class Lengths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of tokens of the successful requests."""

    mean: float
    minimum: int
    maximum: int


class ServiceLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits that a request must meet, in seconds (None: no limit), and the share of requests that must meet them.

    `ttft` limits the time to the first token, `tpot` the mean time of an output token after the first, `e2e` the time
    from the intended send to the end.
    """

    attainment: float
    ttft_seconds: float | None = None
    tpot_seconds: float | None = None
    e2e_seconds: float | None = None


class Goodput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requests that met a service level. Errors, time-outs and unsent requests are misses.

    `attained` is their share, `attained_lower` its lower 95 % limit (Clopper and Pearson, one-sided). `met` states
    whether that limit reaches the requested attainment and the queue did not grow; None in a closed loop, whose clients
    wait for the server. The rate is the rate of the requests that met it.
    """

    level: ServiceLevel
    attained: float
    attained_lower: float
    met: bool | None
    requests_per_second: float


class ServingFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The client's view of a load, over all repeats of a point.

    `requests` were due in the windows (in a closed loop: ended in them); `errors` counts the failed ones by outcome,
    `retries` the additional sends. Latencies are those of the successful requests, from the intended send; in an open
    loop a time-out counts at its limit.
    `send_lag_p99_seconds` is the 99th percentile of the sends' lateness. `client_cpus` is the mean number of CPUs that
    the client kept busy, `loop_lag_p99_seconds` the largest p99 lateness of its event loop, None if another tool sent
    the requests.
    """

    arrivals: Literal["closed", "poisson", "constant", "unknown"]
    requests: int
    completed: int
    errors: dict[str, int]
    retries: int
    finish_reasons: dict[str, int]
    token_source: Literal["usage", "tokenizer", "tool", "none"]
    input_tokens: Lengths | None
    cached_input_tokens_per_second: float | None
    output_tokens: Lengths | None
    time_per_output_token_seconds: LatencySummary | None
    goodput: Goodput | None
    send_lag_p99_seconds: float | None
    client_cpus: float | None
    loop_lag_p99_seconds: float | None


class RateTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rate that the search for the highest sustainable rate tried."""

    requests_per_second: float
    outcome: Literal["met", "missed", "undecided"]
    requests: int
    attained: float | None
    attained_lower: float | None
    reason: str


class SustainableRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The highest open-loop rate that meets a service level, found by bisection and confirmed in a fresh run.

    `highest_met` and `lowest_missed` are the bracket, None if no rate was met or missed. `point` is the name of the
    confirming point, None if none confirmed it.
    """

    level: ServiceLevel
    highest_met: float | None
    lowest_missed: float | None
    point: str | None
    trials: tuple[RateTrial, ...]
