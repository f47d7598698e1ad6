"""A document with figures that no measurement can have is refused by its place, before anything is computed from it."""

from __future__ import annotations

import json

import msgspec
import pytest

from agent.profiling.document.codec import check
from agent.profiling.document.faults import faults
from agent.profiling.document.impossible import impossible_figures
from agent.profiling.document.versions import parse
from agent.profiling.records import Document
from command import ROOT
from serving_documents import OPEN, served

POINT = "$.points[0]"


def document():
    watts = {"mean": 40.0, "lower": 38.0, "upper": 42.0, "source": "measured"}
    baseline = {"state": "loaded", "when": "before", "duration_seconds": 3.0, "watts": watts, "sensors": []}
    return json.loads(json.dumps({**served(OPEN), "baselines": [baseline]}, default=msgspec.to_builtins))


def changed(path, value):
    found = document()
    *parts, last = path.split(".")
    place = found
    for part in parts:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("created", "nonsense", "$.created"),
        ("created", "9999-12-31T23:59:59+00:00", "$.created"),
        ("baselines.0.watts.lower", -1.0, "$.baselines[0].watts"),
        ("points.0.power.mean_watts.mean", 1e300, f"{POINT}.power.mean_watts"),
        ("points.0.energy.joules_per_inference.total.mean", -5.0, f"{POINT}.energy.joules_per_inference.total"),
        ("points.0.energy.joules_per_inference.total.upper", 0.0, f"{POINT}.energy.joules_per_inference.total"),
        ("points.0.energy.repeats.count", 0, f"{POINT}.energy.repeats.count"),
        (
            "points.0.inferences_per_second",
            {"mean": 0.0, "lower": 0.0, "upper": 0.0},
            f"{POINT}.inferences_per_second.mean",
        ),
        (
            "points.0.output_tokens_per_second",
            {"mean": -1.0, "lower": -1.0, "upper": 0.0},
            f"{POINT}.output_tokens_per_second.mean",
        ),
        ("points.0.serving.goodput.attained", 1.5, f"{POINT}.serving.goodput.attained"),
        ("points.0.serving.goodput.attained", 0.0, f"{POINT}.serving.goodput.met"),
    ],
)
def test_an_impossible_figure_is_refused_by_its_place(path, value, place):
    found = changed(path, value)
    with pytest.raises(ValueError, match=r"impossible figure: \$\."):
        check(found)
    assert [each.path for each in faults(json.dumps(found))[1]] == [place]


def test_a_point_that_occurs_twice_is_refused_by_its_name():
    found = document()
    found["points"].append(found["points"][0])
    count, name = len(found["points"]), found["points"][0]["name"]
    with pytest.raises(ValueError, match=rf"\$\.points\[{count - 1}\]: the point {name} is already \$\.points\[0\]"):
        check(found)
    assert [each.path for each in faults(json.dumps(found))[1]] == [f"$.points[{count - 1}]"]


def test_a_point_without_energy_may_have_no_requests():
    found = changed("points.0.inferences_per_second", {"mean": 0.0, "lower": 0.0, "upper": 0.0})
    found["points"][0]["energy"] = None
    check(found)


def test_a_bound_may_miss_its_mean_by_a_rounding_error():
    check(changed("baselines.0.watts", {"mean": 40.0, "lower": 40.00000000001, "upper": 40.0, "source": "measured"}))


def test_the_figures_of_every_stored_example_are_possible():
    examples = [*(ROOT / "tests/fixtures/profiles").glob("*.json"), *(ROOT / "docs").glob("*.example.json")]
    assert len(examples) > 5
    for path in examples:
        found = msgspec.convert(parse(path.read_text(encoding="utf-8")), Document)
        assert list(impossible_figures(found)) == [], path
