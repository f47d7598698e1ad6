from __future__ import annotations

import json
import sys
from pathlib import Path

from msgspec import json as typed

from command import ROOT, call
from planner_documents import load, profile

SERVING = ROOT / "docs/serving.example.json"
FACTS = ("--set", "hardware=RACK-1", "--set", "memory_gb=80")


def stored(tmp_path: Path) -> Path:
    path = tmp_path / "profile.json"
    path.write_bytes(typed.encode(profile(load((512, 256), 0.1, 0.02, 2.0, rate=2.0))))
    return path


def test_files_of_a_planner_are_written_to_a_folder(tmp_path):
    done = call(tmp_path, "export", stored(tmp_path), "--to", "llm-d-planner", *FACTS, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [Path(each).name for each in shown["files"]] == ["benchmarks.json", "gpu_catalog.json"]
    assert json.loads((tmp_path / "out/gpu_catalog.json").read_text())["gpu_types"][0]["gpu_type"] == "RACK-1"


def test_tariff_file_replaces_the_prices_of_the_profile(tmp_path):
    (tmp_path / "t.toml").write_text('price_per_kwh = 0.3\ncurrency = "USD"\ncapital = 70080\npue = 1\n')
    out = tmp_path / "out"
    done = call(
        tmp_path,
        "export",
        stored(tmp_path),
        "--to",
        "llm-d-planner",
        *FACTS,
        "--tariff",
        tmp_path / "t.toml",
        "-o",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert round(json.loads((out / "gpu_catalog.json").read_text())["gpu_types"][0]["cost_per_hour_usd"], 6) == 2.03


def test_refusal_lists_what_is_missing_and_the_command_and_writes_nothing(tmp_path):
    done = call(tmp_path, "export", SERVING, "--to", "llm-d-planner", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "  - a load of 512/256" in done.stderr
    assert "This command measures it: inferometer profile endpoint" in done.stderr
    assert not (tmp_path / "out").exists()


def test_unknown_names_are_refused_with_the_nearest_one(tmp_path):
    for words, message in (
        (("--to", "llm-planner"), "did you mean llm-d-planner?"),
        (("--to", "llm-d-planner", "--set", "gpu=1"), "--set gpu: llm-d-planner has no such fact"),
        (("--to", "llm-d-planner", "--set", "hardware"), "write it as NAME=VALUE"),
        (("--to", "llm-d-planner", "--set", "hardware="), "the value is empty"),
        (("--to", "llm-d-planner", "--set", "memory_gb=nan"), "this is not a number above 0"),
        (("--to", "llm-d-planner", "--set", "model=a", "--set", "model=b"), "given twice"),
        (("--to", "llm-d-planner"), "give the folder to write"),
        ((), "--to names the planner"),
    ):
        done = call(tmp_path, "export", SERVING, *words)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_profile_that_is_named_twice_is_exported_once(tmp_path):
    done = call(tmp_path, "export", SERVING, SERVING, "--to", "benchmark-report", "-o", tmp_path / "out", "--json")
    assert len(json.loads(done.stdout)["files"]) == 3


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    done = call(tmp_path, "export", SERVING, "--to", "benchmark-report", "-o", tmp_path / "out")
    assert (done.returncode, "it is not a folder" in done.stderr) == (2, True)


def test_missing_extra_is_named_with_its_installation(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    points = [load((each, 128), 0.1, 0.02, float(n), 30, concurrency=n) for each in (128, 512) for n in (1, 2, 4)]
    (tmp_path / "profile.json").write_bytes(typed.encode(profile(*points)))
    done = call(tmp_path, "export", tmp_path / "profile.json", "--to", "wva", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "scipy.optimize is not installed; install the extra: pip install 'inferometer[planning]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_list_has_every_planner_with_its_facts(tmp_path):
    shown = json.loads(call(tmp_path, "export", "--list", "--json").stdout)["exports"]
    assert "hardware" in shown[0]["facts"]
    assert shown[0]["measured_by"] == "inferometer profile endpoint --url URL --for llm-d-planner"
    text = call(tmp_path, "export", "--list").stdout
    assert all(each["name"] in text for each in shown)


def test_binary_file_is_not_printed(tmp_path):
    done = call(tmp_path, "export", stored(tmp_path), "--to", "parquet")
    assert done.returncode == 2
    assert "give the file to write with -o PATH" in done.stderr
