"""The parts of the main job that no run of the command shows by itself; the runs are in cli/test_profile.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.config import Config
from agent.cost.tariff import Tariff
from agent.profiling.context import ProfileRequest
from agent.profiling.plan import PLANS, MeasurementPlan
from agent.profiling.run import UnsupportedWorkloadError, run
from agent.runtime.signals import SignalRequests
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.transformer.spec import TransformerSpec
from probes.model import Roots
from store.errors import StoreError
from trees import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system

SWIFT = MeasurementPlan("custom", 0.2, 0.1, 3, 0.1, 3)
TINY = TransformerSpec(layers=1, width=32, heads=2, vocabulary=64, prompt_tokens=4, output_tokens=3)


class Silent:
    """Hears the progress and keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[str] = []

    def step(self, _done: int, _total: int | None, doing: str, _least_seconds: float = 0.0) -> None:
        self.steps.append(doing)

    def note(self, text: str) -> None:
        self.notes.append(text)


def rows(database: Path) -> dict[str, int]:
    """Return how many rows each table of a run has."""
    with closing(sqlite3.connect(database)) as connection:
        tables = ("runs", "windows", "profiles", "ticks")
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


def config(tmp_path: Path) -> Config:
    roots = Roots(str(FIXTURES / "trees/intel_server_2s/sys"), str(FIXTURES / "proc/epyc_two_packages"), "/nowhere")
    return Config(database=str(tmp_path / "store.db"), roots=roots)


def test_a_model_that_cannot_run_is_refused_with_its_remedy_and_leaves_no_run(tmp_path: Path) -> None:
    spec = OnnxSpec(tmp_path / "nowhere.onnx")
    request, heard = ProfileRequest(spec, EngineSpec(), {"batch": (1,)}, SWIFT, Tariff()), Silent()
    with pytest.raises(UnsupportedWorkloadError, match=r"nowhere\.onnx does not exist") as refused:
        run(request, config(tmp_path), heard, SignalRequests())
    assert refused.value.remedy
    assert heard.steps == ["checking this host", "checking the model"]
    assert rows(tmp_path / "store.db") == {"runs": 0, "windows": 0, "profiles": 0, "ticks": 0}


def save_reshape(path: Path) -> None:
    """Save a model that declares any batch, and fails with all but one of 1."""
    from onnx import TensorProto, helper, save_model

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy")
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 3])
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "shape"], ["y"])], "g", [x], [y], [shape])
    save_model(helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 17)], ir_version=8), str(path))


def test_a_point_that_cannot_run_is_found_before_the_first_window_and_leaves_no_run(tmp_path: Path) -> None:
    save_reshape(tmp_path / "model.onnx")
    request = ProfileRequest(OnnxSpec(tmp_path / "model.onnx"), EngineSpec(), {"batch": (1, 2)}, SWIFT, None)
    heard = Silent()
    with pytest.raises(UnsupportedWorkloadError, match="running batch=2"):
        run(request, config(tmp_path), heard, SignalRequests())
    assert heard.steps[-1] == "trying every point"
    assert rows(tmp_path / "store.db") == {"runs": 0, "windows": 0, "profiles": 0, "ticks": 0}


def test_an_interruption_before_the_trial_leaves_no_profile(tmp_path: Path) -> None:
    signals = SignalRequests()
    signals.number = 2
    heard = Silent()
    request = ProfileRequest(TINY, EngineSpec(), {"batch": (1,)}, PLANS["quick"], None)
    outcome = run(request, config(tmp_path), heard, signals)
    assert (outcome.document, outcome.interrupted, outcome.failure) == (None, True, None)
    assert heard.steps == ["checking this host"]


def test_an_unusable_database_is_reported_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    heard = Silent()
    with pytest.raises(StoreError, match=r"store\.db"):
        run(
            ProfileRequest(TINY, EngineSpec(), {"batch": (1,)}, PLANS["quick"], None),
            config(tmp_path),
            heard,
            SignalRequests(),
        )
    assert heard.steps == ["checking this host"]
