"""The report of one window of a load: every request with its times, tokens and outcome, and the state of the client."""

from __future__ import annotations

from typing import Literal

import msgspec

Arrivals = Literal["closed", "poisson", "constant", "unknown"]
"""`closed`: each of N clients sends its next request after the end of the last one; the others are an open loop.

`unknown`: another program sent the requests and does not state when they were due.
"""
TokenSource = Literal["usage", "tokenizer", "tool", "none"]
"""`tool`: the count of the program that sent the requests."""
OK = "ok"
"""The outcome of a request that ended as expected; every other outcome names its error."""
TIMEOUT = "timeout"
UNSENT = "unsent"
"""The outcome of a request that was due and that the client did not send."""


class RequestRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """One request. Times are in nanoseconds on CLOCK_MONOTONIC after the start of the window; they can be negative.

    `intended_ns` is the time at which the request was due: in a closed loop, the time at which it was sent. The output
    arrived from `first_ns` to `last_ns`, both None without streaming or output; `end_ns` is the end of the response.
    Token counts are those of the server or of a tokenizer, None if unknown; `cached_tokens` is the part of the input
    that the server read from its cache. `outcome` is `ok`, `timeout`, `unsent`, or the error: `http 500`, `connection`,
    `truncated`, `malformed`. `attempts` counts the sends, retries included.
    """

    intended_ns: int
    sent_ns: int
    first_ns: int | None
    last_ns: int | None
    end_ns: int
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    outcome: str
    finish_reason: str | None = None
    attempts: int = 1

    @property
    def ok(self) -> bool:
        """Whether the request ended as expected."""
        return self.outcome == OK

    @property
    def end_to_end_seconds(self) -> float:
        """The time from the intended send to the end of the response."""
        return (self.end_ns - self.intended_ns) / 1e9

    @property
    def time_to_first_token_seconds(self) -> float | None:
        """The time from the intended send to the first output token (TTFT)."""
        return None if self.first_ns is None else (self.first_ns - self.intended_ns) / 1e9

    @property
    def time_per_output_token_seconds(self) -> float | None:
        """The mean time of an output token after the first (TPOT): (last - first) / (output tokens - 1)."""
        if self.first_ns is None or self.last_ns is None or (self.output_tokens or 0) < 2:  # noqa: PLR2004
            return None
        return (self.last_ns - self.first_ns) / 1e9 / ((self.output_tokens or 0) - 1)

    @property
    def lag_seconds(self) -> float:
        """The time from the intended send to the actual one."""
        return (self.sent_ns - self.intended_ns) / 1e9


class ClientLoad(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The client's own share of a window: CPU time in seconds, and the lateness of its event loop in seconds.

    `cpus` is the number of CPUs that the client may use.
    """

    cpu_seconds: float
    cpus: int
    loop_lag_p99_seconds: float
    loop_lag_max_seconds: float


class LoadTotals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The totals of a window whose client reports no single requests; latencies are means in seconds."""

    requests: int
    completed: int
    mean_latency_seconds: float


class LoadWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One window of a load.

    `requests` are, in a closed loop, those that ended in the window; in an open loop, those that were due in the
    window, each followed to its end. Failed ones are included. `in_flight_start` and `in_flight_end` count the requests
    under way at its edges. `token_source` names the origin of the token counts. `timeout_seconds` is the limit of a
    request. `capped` states whether an open loop reached its limit of requests under way. `client` is None if another
    program sent the requests. `totals` replaces `requests` if that program reports only those.
    """

    arrivals: Arrivals
    requests: tuple[RequestRecord, ...]
    in_flight_start: int
    in_flight_end: int
    token_source: TokenSource
    timeout_seconds: float
    client: ClientLoad | None
    capped: bool = False
    totals: LoadTotals | None = None
