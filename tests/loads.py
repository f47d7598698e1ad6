"""Loads on a server with round numbers: requests in seconds after the start of the window, and their reports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.profiling.analysis.serving import load_of, serving_figures
from agent.profiling.validation.evidence import Evidence, ServingEvidence
from agent.profiling.validation.measurement import validate
from agent.runtime.typed_json import to_json
from agent.workloads.load_records import ClientLoad, LoadWindow, RequestRecord
from simulated import SECOND
from store.records import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT = ClientLoad(cpu_seconds=0.2, cpus=2, loop_lag_p99_seconds=0.001, loop_lag_max_seconds=0.002)


def _ns(seconds):
    return None if seconds is None else round(seconds * SECOND)


def request(due, end, first=None, last=None, tokens=(100, 11), outcome="ok", late=0.0, cached=None, **facts):
    """A request that was due and sent `late`; `tokens` in and out."""
    facts = {"finish_reason": "stop" if outcome == "ok" else None, **facts}
    return RequestRecord(
        _ns(due), _ns(due + late), _ns(first), _ns(last), _ns(end), tokens[0], cached, tokens[1], outcome, **facts
    )


def streamed(due, first, step, tokens=(100, 11), **facts):
    """A request whose tokens arrive from `first` seconds after it was due, one every `step`."""
    last = due + first + step * (tokens[1] - 1)
    return request(due, last, due + first, last, tokens, **facts)


def report(requests: Sequence[RequestRecord], arrivals="poisson", in_flight=(0, 0), client=CLIENT, **facts):
    facts = {"token_source": "usage", "timeout_seconds": 60.0, **facts}
    return LoadWindow(arrivals, tuple(requests), *in_flight, client=client, **facts)


def load_window(repeat, start, end, load, point='{"rate":2.0}', work=None, tokens=None, steps=()):
    """A window of a load; by default all of its requests lie within it, with all of their tokens."""
    completed = [each for each in load.requests if each.ok]
    counted = tokens or (
        sum(each.input_tokens or 0 for each in completed),
        sum(each.output_tokens or 0 for each in completed),
    )
    return Window(
        "run",
        point,
        "serving",
        repeat,
        round(start * SECOND),
        round(end * SECOND),
        len(load.requests),
        len(completed),
        *counted,
        (),
        tuple(steps),
        float(len(completed)) if work is None else work,
        to_json(load),
    )


def every_check():
    """Return every check of a point, those of a model and those of a load; some of them twice."""
    load = load_of([(load_window(1, 0, 1, report([streamed(0.0, 0.1, 0.01)])),)])
    evidence = Evidence((load.windows,), (), 0, 0.1, (), ())
    serving = ServingEvidence(serving_figures(load), 0.1, capped=False, without_counts=0, idle_watts=None)
    model = replace(evidence, windows=((replace(load.windows[0], latencies_seconds=(1.0,)),),))
    return (*validate(model), *validate(replace(evidence, serving=serving)))
