"""A sweep notes the loads of models, and goes on without the points that are lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from agent.profiling.analysis.startup import LOAD
from agent.workloads.errors import OutOfMemoryError
from agent.workloads.model_record import LoadedModel
from agent.workloads.point import encode_point, points_of
from agent.workloads.runner.protocol import Measured, Prepared

if TYPE_CHECKING:
    from agent.workloads.point import Point

from sweeps import EIGHT, KEY_1, KEY_8, ONE, STARTS, FakeWorkload, go, replace_ready, visits


def test_a_point_that_runs_out_of_memory_in_its_trial_is_left_out_and_the_others_are_measured() -> None:
    went = go(FakeWorkload(lacking={KEY_8: OutOfMemoryError("out of memory", "a smaller batch")}), points=(ONE, EIGHT))
    assert {point for _, point in visits(went.windows)} == {"batch=1"}
    assert [key for key, _ in went.sweep.lost.items()] == [KEY_8]
    assert went.heard.notes == ["warning: batch=8 is left out: out of memory"]
    assert went.loads == [1]  # the process lives on
    done, total, last = went.heard.steps[-1]
    assert (done, last) == (total, "done")
    assert went.heard.steps[-2][0] == done - 1
    assert went.heard.least[-1] == 0


def test_the_model_is_loaded_again_for_the_other_points_if_the_process_of_one_was_killed() -> None:
    killed = OutOfMemoryError("killed by SIGKILL", ended=True)
    went = go(FakeWorkload(lacking={KEY_1: killed}), points=(ONE, EIGHT))
    assert {point for _, point in visits(went.windows)} == {"batch=8"}
    assert len(went.loads) == 2
    assert went.sweep.lost == {KEY_1: killed}


def test_a_run_in_which_no_point_fits_into_memory_fails_with_the_error_of_the_first() -> None:
    lacking = {KEY_1: OutOfMemoryError("no room"), KEY_8: OutOfMemoryError("less room")}
    with pytest.raises(OutOfMemoryError, match="no room"):
        go(FakeWorkload(lacking=lacking), points=(ONE, EIGHT))


def test_the_repeats_before_a_point_runs_out_of_memory_remain() -> None:
    class Filling(FakeWorkload):
        def measure(self, *arguments: object, **options: object) -> Measured:
            if len(self.asked) == 9 and self.prepared[-1] == EIGHT:
                self.asked.append(("lost", 0.0, 0))
                raise OutOfMemoryError("out of memory")
            return super().measure(*arguments, **options)

    for seed in range(8):
        went = go(Filling(), points=(ONE, EIGHT), seed=seed)
        counts = [sum(point == name for _, point in visits(went.windows)) for name in ("batch=1", "batch=8")]
        assert counts == ([3, 3] if not went.sweep.lost else [3, counts[1]])
        if went.sweep.lost:
            assert counts[1] < 3 or went.windows[-4].phase == "prefill"


def test_loads_of_models_and_the_first_run_are_windows_at_their_own_times() -> None:
    @dataclass
    class TwoModels(FakeWorkload):
        def prepare(self, parameters: Point) -> Prepared:
            super().prepare(parameters)
            number = 1 if parameters == ONE else 2
            return Prepared(5000, 9000, LoadedModel("fp32", 1, 4, 1000 * number, 1e-6))

    ready = replace_ready(load_start_ns=1000, load_seconds=1e-6)
    went = go(TwoModels(), points=(ONE, EIGHT), ready=ready)
    starts = [window for window in went.windows if window.phase in STARTS]
    assert [(w.phase, w.repeat, w.start_ns, w.end_ns) for w in starts] == [
        ("load", 0, 2000, 3000),
        ("first_run", 0, 6000, 10000),
        ("load", 1, 3000, 4000),
    ]
    assert {key: model.load_start_ns for key, model in went.sweep.models.items()} == {KEY_1: 1000, KEY_8: 2000}


def test_models_that_a_new_process_loads_again_keep_their_first_load() -> None:
    class Reloading(FakeWorkload):
        def prepare(self, parameters: Point) -> Prepared:
            super().prepare(parameters)
            first = 1000 if len(self.prepared) <= 3 else 7000
            own = (first, "fp32") if parameters == ONE else (first + 500, "int4")
            return Prepared(5000, 9000, LoadedModel(own[1], 1, 4, own[0], 1e-6))

    points = points_of({"batch": (1, 4, 8)})
    went = go(Reloading(lacking={KEY_8: OutOfMemoryError("killed", ended=True)}), points=points)
    assert len(went.loads) == 2
    found = {key: model.load_start_ns for key, model in went.sweep.models.items()}
    assert found == {KEY_1: 1000, encode_point(points[1]): 1500}
    assert [window.start_ns for window in went.windows if window.phase == LOAD] == [2000, 2500]
