"""`inferometer wall`, from stored samples of a host with a plug to the figures of later measurements and profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from agent.energy.wall_factor import WallFactor
from agent.host.inventory import host_id
from agent.host.wall_state import FILE_NAME, WallRecord, present_key, write_record
from command import call, run
from meter_rig import LEVELS, dram, gpu, package, plug, store_series
from moving_counters import advancing_counters
from probes.model import Roots
from probes.registry import discover
from profile_runs import SHORT, TINY, document
from trees import copy_tree, powercap_zone

if TYPE_CHECKING:
    from pathlib import Path

PARTS = {"intel-rapl:0": 60.0, "intel-rapl:0:0": 7.0, "intel-rapl:1": 45.0, "intel-rapl:1:0": 5.0}
FACTOR = WallFactor(1.1, 40.0, 12, 60.0, 0.5, 110.0, 9000.0, 2.0, {"total": (90.0, 140.0), "processors": (90.0, 140.0)})


def state(home: Path) -> Path:
    return home / "state/inferometer"


def without_psys(folder: Path) -> Path:
    """Return a tree of two sockets with memory."""
    tree = copy_tree("intel_server_2s", folder)
    (tree / "class/powercap/intel-rapl:2").unlink()
    return tree


def stored_factor(home: Path, sysfs: Path, factor: WallFactor = FACTOR) -> WallRecord:
    """Store a factor for the sensors of a tree."""
    roots = Roots(sysfs=str(sysfs), nvml_library="/nowhere/libnvidia-ml.so.1")
    found = discover(roots)
    found.close()
    key = present_key(roots, host_id(), found.channels)
    facts = {"model": "Shelly Plug S", "accuracy_class": "1"}
    record = WallRecord(
        "inferometer.wall-factor.1", "2026-11-01T10:00:00+00:00", ("meter-desk/wall",), facts, key, factor
    )
    write_record(state(home), record)
    return record


def figures(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_host_without_a_meter_learns_nothing(tmp_path: Path) -> None:
    tree = without_psys(tmp_path / "tree")
    result = call(tmp_path, "wall", "learn", "--path.sysfs", tree)
    assert result.returncode == 1
    assert result.stderr.endswith("no sensor measures the power at the wall; configure a meter in [[meters]]\n")
    assert not (state(tmp_path) / FILE_NAME).exists()


def test_wrong_options_are_named(tmp_path: Path) -> None:
    for options, words in (
        (("--load", "--since", "1h"), "--load: stored samples need no load"),
        (("--until", "1h"), "--until: it ends stored samples"),
    ):
        result = call(tmp_path, "wall", "learn", *options)
        assert (result.returncode, result.stdout) == (2, "")
        assert words in result.stderr


def test_a_factor_is_shown_until_the_host_changes_and_then_is_void(tmp_path: Path) -> None:
    tree = without_psys(tmp_path / "tree")
    stored_factor(tmp_path, tree)
    result = call(tmp_path, "wall", "show", "--path.sysfs", tree)
    assert result.returncode == 0, result.stderr
    assert "40.0 W + 1.100 x total, estimated" in result.stdout
    assert "meter-desk/wall, model Shelly Plug S, accuracy_class 1" in result.stdout
    assert figures(call(tmp_path, "wall", "show", "--path.sysfs", tree, "--json"))["void"] == []
    (tree / "class/powercap/intel-rapl:1").unlink()
    result = call(tmp_path, "wall", "show", "--path.sysfs", tree, "--json")
    assert result.returncode == 1
    assert "package-1/package energy_joules is gone" in " ".join(figures(result)["void"])
    assert "Void" in call(tmp_path, "wall", "show", "--path.sysfs", tree).stdout


def test_a_factor_can_be_deleted_and_its_absence_is_an_error_of_show_alone(tmp_path: Path) -> None:
    tree = without_psys(tmp_path / "tree")
    stored_factor(tmp_path, tree)
    assert call(tmp_path, "wall", "forget").stdout == "the wall factor is deleted\n"
    assert figures(call(tmp_path, "wall", "forget", "--json")) == {"deleted": False}
    result = call(tmp_path, "wall", "show", "--path.sysfs", tree)
    assert result.returncode == 1
    assert "`inferometer wall learn` learns one while a meter is at the wall" in result.stderr


def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    tree = without_psys(tmp_path / "tree")
    state(tmp_path).mkdir(parents=True)
    (state(tmp_path) / FILE_NAME).write_text('{"schema": "other"}', encoding="utf-8")
    result = call(tmp_path, "wall", "show", "--path.sysfs", tree)
    assert result.returncode == 1
    assert FILE_NAME in result.stderr
    assert "Learn the factor again" in result.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Measurements and a profile on a host with a factor, with a void one, and beyond its powers."""
    home = tmp_path_factory.mktemp("home")
    tree = without_psys(tmp_path_factory.mktemp("host") / "tree")
    arguments = ("--path.sysfs", tree, "--cpu-budget", 0.3)
    with advancing_counters(tree, PARTS):
        stored_factor(home, tree)
        found: dict[str, Any] = {
            "json": run(home, "measure", "--duration", 1, "--json", *arguments),
            "text": run(home, "measure", "--duration", 1, *arguments),
            "profile": run(home, *TINY, *SHORT, "--batch", 1, "--json", "--force", *arguments),
            "shown": run(home, "profiles", "show", "latest"),
        }
        stored_factor(
            home, tree, msgspec.structs.replace(FACTOR, ranges={"total": (1.0, 50.0), "processors": (1.0, 50.0)})
        )
        found["beyond"] = run(home, "measure", "--duration", 1, "--json", *arguments)
        (state(home) / FILE_NAME).unlink()
        found["none"] = run(home, "measure", "--duration", 1, "--json", *arguments)
    return found


def test_a_measurement_has_the_modeled_energy_beside_its_total(measured: dict[str, Any]) -> None:
    found = figures(measured["json"])
    seconds, total, wall = found["duration_seconds"], found["total"], found["modeled_wall"]
    assert total["boundary"] == "package"
    assert total["joules"] == pytest.approx(117 * seconds, rel=0.05)
    assert (wall["boundary"], wall["source"], wall["reason"]) == ("wall (modeled)", "estimated", None)
    assert wall["joules"] == pytest.approx(40 * seconds + 1.1 * total["joules"])
    assert wall["lower"] < wall["joules"] < wall["upper"]
    assert "wall (modeled): " in measured["text"].stdout
    assert "estimated by the factor learned on 2026-11-01T10:00:00+00:00" in measured["text"].stdout


def test_a_profile_has_the_modeled_figures_of_each_point(measured: dict[str, Any]) -> None:
    found = document(measured["profile"])
    (point,) = found["points"]
    assert found["coverage"]["boundary"] == "package"
    assert found["wall_model"]["slope"] == 1.1
    wall = point["modeled_wall"]
    assert wall["mean_watts"]["mean"] == pytest.approx(40 + 1.1 * point["power"]["mean_watts"]["mean"])
    ratio = wall["joules_per_inference"]["mean"] / wall["mean_watts"]["mean"]
    total = point["energy"]["joules_per_inference"]["total"]["mean"]
    assert ratio == pytest.approx(total / point["power"]["mean_watts"]["mean"])
    assert "estimated at the wall by the factor" in " ".join(measured["shown"].stdout.split())


def test_a_measurement_beyond_the_learned_powers_states_the_reason(measured: dict[str, Any]) -> None:
    wall = figures(measured["beyond"])["modeled_wall"]
    assert wall["joules"] is None
    assert wall["reason"].endswith("it is not extrapolated")


def test_a_host_without_a_factor_has_no_modeled_figure(measured: dict[str, Any]) -> None:
    assert figures(measured["none"])["modeled_wall"] is None


def one_socket(folder: Path) -> Path:
    """Return a tree of one socket with memory."""
    powercap_zone(folder, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(folder, "intel-rapl:0:0", "dram", 1_000_000)
    return folder


def test_a_factor_is_learned_from_stored_samples_with_the_line_of_the_wall(tmp_path: Path) -> None:
    tree = one_socket(tmp_path / "tree/sys")
    repeated = tuple(level for level in LEVELS for _ in range(13))
    store_series(tmp_path, [plug(["package", "dram"], levels=repeated), package(repeated), dram(repeated)])
    result = call(tmp_path, "wall", "learn", "--since", "1h", "--path.sysfs", tree, "--json")
    assert result.returncode == 0, result.stderr
    found = figures(result)
    assert found["factor"]["slope"] == pytest.approx(1 / 0.9, rel=0.01)
    assert found["factor"]["constant_watts"] == pytest.approx(40, abs=2)
    assert found["factor"]["window_seconds"] == 60
    assert set(found["factor"]["ranges"]) == {"total", "processors"}
    assert found["meters"] == ["meter-desk/wall"]
    assert [text.split()[0] for text in found["key"]["counted channels"]] == ["package-0/dram", "package-0/package"]
    assert call(tmp_path, "wall", "show", "--path.sysfs", tree).returncode == 0


def test_stored_samples_of_other_sensors_teach_nothing(tmp_path: Path) -> None:
    tree = one_socket(tmp_path / "tree/sys")
    repeated = tuple(level for level in LEVELS for _ in range(13))
    store_series(tmp_path, [plug(levels=repeated), package(repeated), dram(repeated), gpu(repeated)])
    result = call(tmp_path, "wall", "learn", "--since", "1h", "--path.sysfs", tree)
    assert result.returncode == 1
    assert "the total of the stored samples has other sensors than this host has now: GPU-a/board" in result.stderr
