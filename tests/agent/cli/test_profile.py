"""`inferometer profile` and `inferometer profiles` as their users have them: runs that come to their end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import pytest

import fake_nvml
from agent.workloads.point import encode_point
from command import call, run
from moving_counters import advancing_counters, busy_processors, longest_gap
from profile_runs import BARE_METAL, SHORT, TINY, WATTS, document, invalid, save_model, stored
from trees import FIXTURES, copy_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    Runs = dict[str, subprocess.CompletedProcess[str]]

UNMEASURED = ("--path.sysfs", FIXTURES / "proc", *BARE_METAL, "--no-estimates", "--no-store")
"""No sensor, no estimate and no store: for runs whose points matter, and not their energy."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")


@pytest.fixture(scope="module")
def runs(home: Path, server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs of every kind, all at the same time, into the user's one database."""
    bare = tmp_path_factory.mktemp("bare")
    tariff = home / "tariff.toml"
    tariff.write_text('currency = "EUR"\nprice_per_kwh = 0.5\ncapital = 1000\n', encoding="utf-8")
    library = fake_nvml.build(home)
    fake_nvml.write_state(library, [replace(fake_nvml.H100, programs=(1,), busy_ratios={1: 0.5})])
    model = home / "dynamic.onnx"
    save_model(model, ["batch", 3])
    tiny, served = (*TINY, *SHORT, "--path.sysfs"), (server, *BARE_METAL)
    hasty, easy = ("--tolerance", "0.01 %", "--budget", "1s"), ("--tolerance", "99 %", "--order-seed", 5)
    lines = {
        "measured": (*tiny, *served, "--batch", "1,2,1", "--tariff", tariff, "--json", *easy, "--report", "run.html"),
        "estimated": (*tiny, bare, "--path.procfs", home / "proc", "--batch", 1, "--price-per-kwh", 0.2),
        "without": (*tiny, bare, *BARE_METAL, "--no-estimates", "--batch", 1, "--json", "--capital", 9, *hasty),
        "twice": (
            *tiny,
            server,
            "--path.nvml-library",
            library,
            "--batch",
            1,
            "--repeats",
            2,
            "--force",
            "--price-per-kwh",
            1,
            "--json",
        ),
        "onnx": ("profile", "onnx", "--model", model, "--batch", "1,2", *SHORT, "--path.sysfs", *served, "--json"),
    }
    with advancing_counters(server, WATTS), busy_processors(home / "proc", 0.5), ThreadPoolExecutor(len(lines)) as pool:
        waiting = {name: pool.submit(run, home, *line) for name, line in lines.items()}
        yield {name: future.result() for name, future in waiting.items()}


def test_a_run_ends_with_a_report_that_shows_its_power_over_time(home: Path, runs: Runs) -> None:
    assert runs["measured"].stderr.endswith(f"Report written to {home / 'run.html'}\n")
    text = (home / "run.html").read_text(encoding="utf-8")
    assert "Power over time: transformer" in text
    assert "idle baseline" in text


def test_measured_energies_are_the_known_watts_times_the_time_and_within_their_bounds(
    home: Path, runs: Runs, server: Path
) -> None:
    result = runs["measured"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    _, windows = stored(home, found["id"])
    assert [point["name"] for point in found["points"]] == ["batch=1", "batch=2"]
    for point in found["points"]:
        own = [window for window in windows if window.point == encode_point(point["parameters"])]
        seconds = mean(
            sum((w.end_ns - w.start_ns) / 1e9 / w.inferences for w in own if w.repeat == repeat)
            for repeat in {window.repeat for window in own}
        )
        total = point["energy"]["joules_per_inference"]["total"]
        late = longest_gap(server) / min(window.seconds for window in own)
        assert total["mean"] == pytest.approx(180 * seconds, rel=0.1 + late)
        assert total["lower"] <= 180 * seconds * (1 + late)
        assert total["upper"] >= 180 * seconds * (1 - late)
        assert total["source"] == "measured"
        assert point["power"]["mean_watts"]["mean"] == pytest.approx(180, rel=0.1 + late)
        assert {(each["device"], each["domain"]) for each in point["energy"]["sensors"] if each["in_total"]} == {
            ("psys", "psys")
        }
    assert {(each["device"], each["domain"]) for each in found["coverage"]["includes"]} == {("psys", "psys")}
    assert [(each["state"], each["when"]) for each in found["baselines"]] == [
        ("unloaded", "before"),
        ("loaded", "before"),
        ("loaded", "after"),
        ("unloaded", "after"),
    ]
    assert {drift["state"] for drift in found["idle_drift"]} == {"unloaded", "loaded"}
    assert (found["plan"]["order_seed"], found["plan"]["tolerance"]) == (5, 0.99)
    assert found["plan"]["budget_seconds"] > 0
    assert {point["convergence"]["metric"] for point in found["points"]} == {"joules_per_inference"}
    assert found["host_state"]["before"] is not None
    assert found["host_state"]["after"] is not None


def test_a_tariff_file_prices_the_energy_and_names_missing_prices(
    runs: Runs,
) -> None:
    for point in document(runs["measured"])["points"]:
        cost = point["cost"]
        joules = point["energy"]["joules_per_inference"]["total"]["mean"]
        assert cost["currency"] == "EUR"
        assert cost["usage"]["per_inference"]["energy"]["mean"] == pytest.approx(joules / 3.6e6 * 0.5 * 1.54)
        assert cost["allocation"] is None
        assert "utilization" in {missing["name"] for missing in cost["missing"]}


def test_without_sensors_every_energy_and_cost_is_marked_as_estimated(home: Path, runs: Runs) -> None:
    result = runs["estimated"]
    assert result.returncode == 0, result.stderr
    assert "warning: processor power: estimated to ±" in result.stderr
    assert "[0/15] idle, before the model is loaded" in result.stderr
    tables = {
        part.partition("\n")[0].split()[0].rstrip(".:"): part.splitlines() for part in result.stdout.split("\n\n")
    }
    parts = (part.splitlines() for part in result.stdout.split("\n\n"))  # a wide table continues below itself
    sourced = next(part for part in parts if any(line.endswith(" SOURCE") for line in part))
    rows = [line for line in sourced if line.startswith("batch=")]
    assert rows
    assert all(row.endswith("estimated") for row in rows)
    assert "The energy part is estimated." in " ".join(line.strip() for line in tables["Cost"])
    described = "\n".join(tables["Profile"]).replace("\n  ", " ")
    for label in ("Energy", "Idle"):
        assert all("estimated" in line for line in described.splitlines() if line.startswith(label)), described
    found = document(call(home, "profiles", "show", "--json", run_id(result)))
    assert found["coverage"]["source"] == "estimated"
    assert found["coverage"]["relative_uncertainty"] > 0.3
    assert any(note.startswith("processor power: estimated to ±") for note in found["notes"])
    for point in found["points"]:
        assert invalid(point) == []
        total = point["energy"]["joules_per_inference"]["total"]
        assert total["source"] == point["power"]["source"] == "estimated"
        assert total["upper"] >= total["mean"] * (1 + found["coverage"]["relative_uncertainty"]) * 0.999
        assert {each["method"] for each in point["energy"]["sensors"]} == {"model"}
        assert point["cost"]["usage"]["per_inference"]["energy"]["mean"] > 0
        assert point["cost"]["usage"]["per_inference"]["capital"] is None
        assert point["cost"]["currency"] is None


def run_id(result: subprocess.CompletedProcess[str]) -> str:
    """Return the id of the profile that was shown."""
    return next(line.split()[1] for line in result.stdout.splitlines() if line.startswith("Profile "))


def test_without_sensors_and_estimates_a_profile_has_time_figures_only(
    runs: Runs,
) -> None:
    result = runs["without"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert any("latency and throughput only" in note for note in found["notes"])
    assert any("the tolerance of ±0.01 % was not met in time by batch=1" in note for note in found["notes"])
    for point in found["points"]:
        assert point["inferences_per_second"]["mean"] > 0
        assert (point["energy"], point["power"], point["cost"]) == (None, None, None)


def test_fewer_than_three_repeats_give_no_energy_and_a_reason(
    runs: Runs,
) -> None:
    result = runs["twice"]
    assert result.returncode == 0
    assert "warning: no energy for batch=1: 2 complete repeats; at least 3 needed" in result.stderr
    found = document(result)
    assert (found["plan"]["mode"], found["plan"]["repeats"]) == ("custom", 2)
    for point in found["points"]:
        assert (point["valid"], point["energy"], point["cost"]) == (False, None, None)
        [reason] = [check["message"] for check in point["checks"] if check["name"] == "repeats"]
        assert "2 complete repeats; at least 3" in reason


def test_a_gpu_that_only_others_use_causes_warnings(runs: Runs) -> None:
    [point] = document(runs["twice"])["points"]
    [shared] = point["conditions"]["gpus"]
    own = ("self_share", "other_share", "max_other_share", "other_processes")
    assert shared["device"] == fake_nvml.H100.uuid
    if Path("/proc/self/ns/pid").readlink() != Path("pid:[4026531836]"):
        assert {shared[name] for name in own} == {None}  # in a container a driver has other numbers for processes
        return
    assert [shared[name] for name in own] == [0.0, 0.5, 0.5, 1]
    refused = {each["name"]: each["message"] for each in point["checks"] if each["status"] == "failed"}
    assert "busy for 0 % of the time, other programs for 50 %" in refused["workload_dominates"]
    assert "busy for 50 % of the worst window" in refused["background_load"]


def test_an_onnx_model_with_an_open_batch_is_swept(runs: Runs) -> None:
    result = runs["onnx"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert [(point["name"], point["parameters"]) for point in found["points"]] == [
        ("batch=1", {"batch": 1}),
        ("batch=2", {"batch": 2}),
    ]
    assert [phase["phase"] for phase in found["points"][0]["phases"]] == ["inference"]
    assert len(found["workload"]["model_sha256"]) == 64


def test_lists_of_parameters_sweep_their_combinations(tmp_path: Path) -> None:
    result = run(tmp_path, *TINY, *SHORT, *UNMEASURED, "--batch", 1, "--prompt-tokens", "4,8", "--repeats", 1)
    assert result.returncode == 0, result.stderr
    assert "1 layer 32 wide, fp32, 3 out" in result.stdout
    rows = {line.partition("  ")[0] for line in result.stdout.splitlines() if line.startswith("batch=")}
    assert rows == {"batch=1 prompt_tokens=4", "batch=1 prompt_tokens=8"}


def test_named_dimensions_are_parameters_of_the_points_and_the_first_is_the_batch(tmp_path: Path) -> None:
    save_model(tmp_path / "m.onnx", ["rows", "seq"])
    dims = ("--dim", "rows=1,4", "--dim", "seq=2")
    options = (*SHORT, *UNMEASURED, "--repeats", 1, "--json")
    result = run(tmp_path, "profile", "onnx", "--model", tmp_path / "m.onnx", *dims, *options)
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert found["plan"]["sweep"] == {"rows": [1, 4], "seq": [2]}
    assert [point["parameters"] for point in found["points"]] == [{"rows": 1, "seq": 2}, {"rows": 4, "seq": 2}]
    for point in found["points"]:
        [phase] = point["phases"]
        assert phase["inferences"] == phase["iterations"] * point["parameters"]["rows"]
    assert [each["shape"] for each in found["workload"]["inputs"]] == [[1, 2]]


# --- stored profiles ------------------------------------------------------------------------------------------------


def test_the_runs_of_one_database_are_listed_shown_and_exported(home: Path, runs: Runs) -> None:
    listed = json.loads(call(home, "profiles", "list", "--json").stdout)["profiles"]
    assert len(listed) == len(runs)
    assert [each["created"] for each in listed] == sorted((each["created"] for each in listed), reverse=True)
    assert {each["source"] for each in listed} == {"measured", "estimated", None}
    table = call(home, "profiles", "list").stdout.splitlines()
    assert [line.split()[-1] for line in table] == ["BOUNDARY", *(each["boundary"] for each in listed)]
    assert [line.split()[0] for line in table[1:]] == [each["id"] for each in listed]

    newest, measured = listed[0]["id"], document(runs["measured"])
    assert json.loads(call(home, "profiles", "show", "--json").stdout)["id"] == newest
    exported = home / "exported.json"
    result = call(home, "profiles", "export", measured["id"], "-o", exported)
    assert (result.returncode, result.stdout) == (0, "")
    again = call(home, "profiles", "export", measured["id"], "-o", exported, "--json")
    assert json.loads(again.stdout) == {"id": measured["id"], "file": str(exported)}
    assert json.loads(exported.read_text(encoding="utf-8")) == measured
    assert document(call(home, "profiles", "export", measured["id"][:-1])) == measured

    several = call(home, "profiles", "show", newest[:4])
    assert (several.returncode, several.stdout) == (2, "")
    assert measured["id"] in several.stderr
    unknown = call(home, "profiles", "export", "nothing-like-it")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "profiles list" in unknown.stderr
    blocked = call(home, "profiles", "export", "-o", home)
    assert blocked.returncode == 2
    assert str(home) in blocked.stderr


def test_without_a_database_lists_are_empty_and_none_is_created(tmp_path: Path) -> None:
    listed = call(tmp_path, "profiles", "list", "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, {"profiles": []})
    shown = call(tmp_path, "profiles", "show")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert f"no profile 'latest' is stored in {tmp_path}/state/inferometer/inferometer.db" in shown.stderr
    assert list(tmp_path.iterdir()) == []
