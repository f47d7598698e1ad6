"""Real profiles of a tiny model: the shortest command lines for them, and their results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from published_schema import validate
from store.database import open_database
from store.reader import Reader
from trees import FIXTURES

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from store.records import Run, Window

TINY = (
    *("profile", "transformer", "--layers", 1, "--width", 32, "--heads", 2, "--vocabulary", 64),
    *("--prompt-tokens", 4, "--output-tokens", 3, "--threads", 1),
)
SHORT = ("--idle-seconds", 0.2, "--warmup-seconds", 0.05, "--window-seconds", 0.15, "--cpu-budget", 0.3)
"""A short run. Beside other tests each read takes more CPU time, so it has a larger budget than the default."""
BARE_METAL = ("--path.procfs", FIXTURES / "proc/epyc_two_packages")
WATTS = {
    "intel-rapl:0": 60.0,
    "intel-rapl:0:0": 7.0,
    "intel-rapl:1": 45.0,
    "intel-rapl:1:0": 5.0,
    "intel-rapl:2": 180.0,
}


def save_model(path: Path, shape: list[int | str]) -> None:
    """Save a model of one addition over a float input of this shape."""
    from onnx import TensorProto, helper, save_model

    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")}
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [value["x"]], [value["y"]])
    opset = helper.make_operatorsetid("", 17)
    save_model(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))


def invalid(point: dict[str, Any]) -> list[str]:
    """Return the reasons of a point without energy, for a test that expects some."""
    checks = (each for each in point["checks"] if each["status"] == "failed" and each["severity"] == "invalid")
    return [f"{each['name']}: {each['message']}" for each in checks]


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the document on standard output, validated against the published schema."""
    found: dict[str, Any] = json.loads(result.stdout)
    validate(found)
    return found


def stored(home: Path, run_id: str) -> tuple[Run | None, tuple[Window, ...]]:
    """Return a run and its windows from the database of `home`."""
    engine = open_database(str(home / "state/inferometer/inferometer.db"), create=False)
    try:
        reader = Reader(engine)
        return reader.run(run_id), reader.windows(run_id)
    finally:
        engine.dispose()
