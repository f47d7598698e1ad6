"""The figures of one window of a load, from the exchanges that touch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.workloads.load_records import UNSENT, LoadWindow
from agent.workloads.runner.protocol import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.workloads.load.exchange import Exchange
    from agent.workloads.load_records import Arrivals, ClientLoad, TokenSource


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """The properties of a load that its windows share; `inferences_per_request` is the work of one request."""

    arrivals: Arrivals
    token_source: TokenSource
    timeout_seconds: float
    inferences_per_request: int = 1


def measured(
    phase: str, start_ns: int, end_ns: int, exchanges: Sequence[Exchange], facts: LoadFacts, client: ClientLoad
) -> Measured:
    """Return a window from the ended exchanges that were under way in it, or due in it.

    A request's part of the window is the share of its time from send to end that lies within. Output tokens count by
    the arrival of their events, an input with the first output of its request; without a stream, both count at the end.
    """
    capped = any(each.outcome == UNSENT for each in exchanges)
    for each in exchanges:
        if each.outcome == UNSENT:
            each.end_ns = end_ns
    requests = [each for each in exchanges if _reported(each, start_ns, end_ns, facts)]
    successful = [each for each in exchanges if each.ok]
    steps = [step for each in successful for step in _steps(each, start_ns, end_ns)]
    output = sum(_output_share(each, start_ns, end_ns) * (each.output_tokens or 0) for each in successful)
    sent = [each for each in exchanges if each.outcome != UNSENT]
    return Measured(
        phase=phase,
        start_ns=start_ns,
        end_ns=end_ns,
        iterations=len(requests),
        inferences=facts.inferences_per_request * sum(each.ok for each in requests),
        input_tokens=sum(each.input_tokens or 0 for each in successful if start_ns <= _arrival(each) < end_ns),
        output_tokens=round(output),
        latencies_seconds=tuple((each.end_ns - each.intended_ns) / 1e9 for each in requests),
        step_seconds=tuple(steps),
        requests_in_window=facts.inferences_per_request
        * sum(_time_share(each, start_ns, end_ns) for each in successful),
        load=LoadWindow(
            arrivals=facts.arrivals,
            requests=tuple(each.record(start_ns) for each in requests),
            in_flight_start=sum(each.sent_ns < start_ns <= each.end_ns for each in sent),
            in_flight_end=sum(each.sent_ns < end_ns <= each.end_ns for each in sent),
            token_source=facts.token_source,
            timeout_seconds=facts.timeout_seconds,
            client=client,
            capped=capped,
        ),
    )


def _reported(each: Exchange, start_ns: int, end_ns: int, facts: LoadFacts) -> bool:
    moment = each.end_ns if facts.arrivals == "closed" else each.intended_ns
    return start_ns <= moment < end_ns


def _time_share(each: Exchange, start_ns: int, end_ns: int) -> float:
    """Return the part of a request's time that lies within the window."""
    if each.end_ns <= each.sent_ns:
        return float(start_ns <= each.end_ns < end_ns)
    return max(0, min(each.end_ns, end_ns) - max(each.sent_ns, start_ns)) / (each.end_ns - each.sent_ns)


def _arrival(each: Exchange) -> int:
    return each.outputs_ns[0] if each.outputs_ns else each.end_ns


def _output_share(each: Exchange, start_ns: int, end_ns: int) -> float:
    """Return the part of a request's output that arrived within the window."""
    if not each.outputs_ns:
        return float(start_ns <= each.end_ns < end_ns)
    return sum(start_ns <= at < end_ns for at in each.outputs_ns) / len(each.outputs_ns)


def _steps(each: Exchange, start_ns: int, end_ns: int) -> Iterator[float]:
    """Yield the seconds between two output tokens that arrived within the window.

    If events have several tokens, the time between two events is divided by their mean number of tokens.
    """
    gaps, tokens = len(each.outputs_ns) - 1, (each.output_tokens or 0) - 1
    if gaps < 1 or tokens < 1:
        return
    scale = gaps / tokens / 1e9
    before = each.outputs_ns[0]
    for after in each.outputs_ns[1:]:
        if start_ns <= after < end_ns:
            yield (after - before) * scale
        before = after
