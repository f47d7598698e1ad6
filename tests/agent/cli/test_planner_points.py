from __future__ import annotations

from typing import Any

import pytest

from agent.cli.planner_points import NeededPoints, planner_option, take_points
from agent.cli.workload_options import requested
from agent.exports.llm_d_planner import SHAPES
from agent.profiling.context import ProfileRequest
from agent.profiling.plan import PLANS
from agent.workloads import registry
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.parameter import parameters_of
from command import call

ENDPOINT = registry.find("endpoint")


def options(**given: Any) -> dict[str, Any]:
    values = {each.name: None if each.sweepable else each.default for each in parameters_of(ENDPOINT.spec)}
    return {**values, "url": "http://127.0.0.1:8000", **given}


def points(**given: Any) -> list[dict[str, Any]]:
    values = options(**given)
    needed = take_points(values)
    spec, axes = requested(ENDPOINT, values, omitted=values.keys() - {"url", *given})
    request = ProfileRequest(spec, EngineSpec(), axes, PLANS["quick"], None, combinations=needed.combinations)
    return [dict(point) for point in request.points]


def test_planner_gets_exactly_its_lengths_at_each_load():
    found = points(planner="llm-d-planner", rate=["1,2"])
    assert sorted({(each["prompt_tokens"], each["output_tokens"]) for each in found}) == sorted(SHAPES)
    assert [each["rate"] for each in found if each["prompt_tokens"] == 512] == [1.0, 2.0]
    assert len(found) == 2 * len(SHAPES)


def test_run_without_a_planner_measures_all_combinations():
    assert len(points(prompt_tokens=["64,128"], output_tokens=["8,16"], concurrency=["1"])) == 4


def test_windows_of_a_planner_have_the_requests_it_needs_together():
    plan = NeededPoints((), 300).lengthened(PLANS["quick"])
    assert (plan.iterations * plan.repeats, plan.name) == (300, "custom")
    assert NeededPoints().lengthened(PLANS["rigorous"]) == PLANS["rigorous"]


def test_length_that_the_planner_sets_is_refused():
    with pytest.raises(ValueError, match="--for llm-d-planner sets --prompt-tokens: leave it out"):
        take_points(options(planner="llm-d-planner", prompt_tokens=["64"]))


def test_unknown_planner_is_refused_with_the_nearest_name(tmp_path):
    done = call(tmp_path, "profile", "endpoint", "--url", "http://127.0.0.1:1", "--for", "llm-planner")
    assert (done.returncode, "--for: no export is named 'llm-planner': did you mean llm-d-planner?" in done.stderr) == (
        2,
        True,
    )


def test_only_workloads_with_lengths_of_text_have_the_option():
    assert planner_option(registry.find("http")) == []
    assert [each.name for each in planner_option(ENDPOINT)] == ["planner"]
