"""`inferometer profile gemm`, and `inferometer roofline` from stored profiles of this host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent.cli.options import ExitCode
from command import call, run
from profile_runs import SHORT, document
from stored import store_profile

if TYPE_CHECKING:
    from pathlib import Path

GEMM = ("profile", "gemm", "--m", 48, "--n", 32, "--k", 16, "--threads", 1, *SHORT, "--repeats", 2, "--force")


@pytest.fixture(scope="module", name="measured")
def _measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return a home with the profile of a product that was measured here, and its document."""
    pytest.importorskip("numpy", reason="the onnx extra is not installed")
    home = tmp_path_factory.mktemp("roofline")
    return home, document(run(home, *GEMM, "--json"))


def add_stream(home: Path, gemm: dict[str, Any], bytes_per_second: float) -> None:
    """Store a profile of memory of the same host."""
    point = gemm["points"][0]
    rate = {"mean": bytes_per_second, "lower": None, "upper": None}
    work = {**point["work"][0], "operations_per_second": None, "bytes_per_second": rate}
    workload = {**gemm["workload"], "name": "stream"}
    text = json.dumps({**gemm, "id": "memory", "workload": workload, "points": [{**point, "work": [work]}]})
    store_profile(home, text, workload="stream")


def test_a_product_is_counted_timed_and_named(measured: tuple[Path, dict[str, Any]]) -> None:
    _, found = measured
    (point,) = found["points"]
    (work,) = point["work"]
    assert (found["workload"]["name"], found["engine"]["name"], found["engine"]["device"]) == ("gemm", "numpy", "cpu")
    assert (work["phase"], work["operations_per_inference"]) == ("product", 2 * 48 * 32 * 16)
    assert work["operations_per_second"]["mean"] == pytest.approx(
        work["operations_per_inference"] * point["inferences_per_second"]["mean"]
    )
    assert work["share_of_ceiling"] is None
    assert found["startup"] is None  # nothing is loaded


def test_a_host_without_profiles_of_both_has_no_ceiling(tmp_path: Path) -> None:
    failed = call(tmp_path, "roofline")
    assert failed.returncode == ExitCode.FAILURE
    assert "run `inferometer profile gemm` and `inferometer profile stream`" in failed.stderr


def test_the_ceiling_combines_the_stored_profiles_and_is_drawn(measured: tuple[Path, dict[str, Any]]) -> None:
    home, gemm = measured
    add_stream(home, gemm, 8e9)
    rate = gemm["points"][0]["work"][0]["operations_per_second"]["mean"]
    shown = call(home, "roofline", "--json")
    assert shown.returncode == ExitCode.OK, shown.stderr
    found = json.loads(shown.stdout)
    (ceiling,) = found["ceilings"]
    assert ceiling == {
        "precision": "fp32",
        "device": "cpu",
        "operations_per_second": rate,
        "bytes_per_second": 8e9,
        "gemm_profile": gemm["id"],
        "stream_profile": "memory",
    }
    assert (found["host"], found["phases"]) == (gemm["host"]["id"], [])
    shown = call(home, "roofline", gemm["id"], "--plot", "roof.svg")
    assert shown.stdout.splitlines()[-1].split()[0] == "fp32"
    assert "<svg" in (home / "roof.svg").read_text(encoding="utf-8")


def test_another_device_and_another_suffix_are_refused(measured: tuple[Path, dict[str, Any]]) -> None:
    home, _ = measured
    failed = call(home, "roofline", "--device", "cuda:0")
    assert failed.returncode == ExitCode.FAILURE
    assert "no ceiling of cuda:0" in failed.stderr
    assert "are of cpu: choose with --device" in " ".join(failed.stderr.split())
    assert call(home, "roofline", "--plot", "roof.gif").returncode == ExitCode.USAGE
