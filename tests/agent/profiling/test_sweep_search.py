"""A sweep that searches a rate: trials first, then the repeats of the point that it found."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count

from agent.host.activity import ActivitySnapshot
from agent.profiling.plan import MeasurementPlan
from agent.profiling.serving_records import ServiceLevel
from agent.profiling.sweep import Sweep
from agent.runtime.clock import Timebase
from agent.workloads.runner.protocol import Measured, Prepared, Ready
from loads import report, streamed
from probes.cpu.utilization import Times

READY = Ready("openai", "1", "server", 0, None, None, None, None, ("serving",), 0.1)
PLAN = MeasurementPlan("custom", 0.01, 0.0, 3, 1.5, 3)
LEVEL = ServiceLevel(0.9, e2e_seconds=0.5)
CAPACITY = 11.0


@dataclass
class Endpoint:
    """Answers within the level up to its capacity, in requests per second."""

    rates: list[float | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def prepare(self, parameters):
        self.rates.append(parameters.get("rate"))
        return Prepared(1, 2)

    def measure(self, phase, seconds, _iterations, edge=lambda: None):
        edge()
        edge()
        self.seconds.append(seconds)
        rate = self.rates[-1]
        late = 0.2 if rate <= CAPACITY else 2.0
        requests = [streamed(number / rate, late, 0.0) for number in range(round(rate * seconds))]
        ok = len(requests)
        now = time.monotonic_ns()
        start = now - round(seconds * 1e9)
        return Measured(phase, start, now, ok, ok, 100 * ok, 11 * ok, (), (), float(ok), report(requests))


@dataclass
class Heard:
    steps: list[tuple[int, int | None, str]] = field(default_factory=list)

    def step(self, done, total, doing, _least_seconds=0.0):
        self.steps.append((done, total, doing))


def swept(level=LEVEL, baselines=("idle_loaded",), point=None):
    heard, endpoint, numbers = Heard(), Endpoint(), count()
    sweep = Sweep(
        "run",
        PLAN,
        Timebase(0),
        lambda _: None,
        heard,
        phases=1,
        seed=0,
        approach=lambda: None,
        edge=lambda: None,
        snapshot=lambda _: ActivitySnapshot(next(numbers), {0: Times(0, 0, 0, 0)}, 0.0, {}),
        rule=None,
        on_trial_complete=lambda: None,
        baselines=baselines,
        level=level,
        sleep=lambda _: None,
    )
    start = point or {"rate": 4.0, "prompt_tokens": 8}
    sweep.run(endpoint, lambda: READY, lambda: None, (start,))
    return sweep, endpoint, heard, start


def test_the_highest_rate_becomes_a_point_with_all_repeats():
    sweep, endpoint, heard, start = swept()
    found = sweep.sustainable_rate(start)
    assert CAPACITY / 1.05 <= found.highest_met <= CAPACITY < found.lowest_missed
    assert found.point == f"rate={found.highest_met} prompt_tokens=8"
    assert [trial.requests_per_second for trial in found.trials[:3]] == [4.0, 8.0, 16.0]
    windows = [window for window in sweep.windows if window.point]
    assert [(window.phase, window.repeat) for window in windows] == [("serving", 1), ("serving", 2), ("serving", 3)]
    assert len({window.point for window in windows}) == 1
    assert endpoint.rates[-1] == found.highest_met
    done, total, text = heard.steps[-1]
    assert (done, text) == (total, "done")
    assert (None, "trying 4 requests/s, for 9 s or more") in [(total, doing) for _, total, doing in heard.steps]


def test_a_trial_lasts_long_enough_for_a_verdict():
    _, endpoint, _, _ = swept()
    assert endpoint.seconds[0] == 1.2 * 29 / 4


def test_a_search_without_a_rate_begins_at_one_request_a_second_of_an_open_loop():
    sweep, _, _, start = swept(point={"concurrency": 1, "rate": 1.0})
    assert sweep.sustainable_rate(start).trials[0].requests_per_second == 1.0
    assert "concurrency" not in sweep.sustainable_rate(start).point


def test_a_server_that_runs_already_is_measured_idle_with_its_model_alone():
    sweep, *_ = swept(level=None)
    assert [window.phase for window in sweep.windows if not window.point] == ["first_run", "idle_loaded", "idle_loaded"]
    assert sweep.sustainable_rate({}) is None


def test_a_server_elsewhere_has_no_idle_window():
    sweep, _, heard, _ = swept(level=None, baselines=())
    assert [window.phase for window in sweep.windows if not window.point] == ["first_run"]
    assert heard.steps[-1][0] == heard.steps[-1][1]
