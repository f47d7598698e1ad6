"""`inferometer profile` and `inferometer profiles` as their users have them: real runs of a tiny model."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from command import ROOT, as_nobody, call, finish, read_until, run, started
from moving_counters import moving
from store.database import open_database
from store.reader import Reader
from store.records import RunStatus
from trees import FIXTURES, copy_tree

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from store.records import Run, Window

TINY = (
    *("profile", "transformer", "--layers", 1, "--width", 32, "--heads", 2, "--vocabulary", 64),
    *("--prompt-tokens", 4, "--output-tokens", 3, "--threads", 1),
)
SHORT = ("--idle-seconds", 0.2, "--warmup-seconds", 0.1, "--window-seconds", 0.1)
BARE_METAL = ("--path.procfs", FIXTURES / "proc/epyc_two_packages")
WATTS = {
    "intel-rapl:0": 60.0,
    "intel-rapl:0:0": 7.0,
    "intel-rapl:1": 45.0,
    "intel-rapl:1:0": 5.0,
    "intel-rapl:2": 180.0,
}
SCHEMA = json.loads((ROOT / "docs/profile.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped on its way: its own home, how it ended, and the workloads it had when it was stopped."""

    home: Path
    result: subprocess.CompletedProcess[str]
    workers: list[int]


def stop(home: Path, moment: str, signals: tuple[int, int], line: tuple[object, ...]) -> Stopped:
    """Run the command until it says `moment`, then send the first signal to it, the second to its workload."""
    home.mkdir()
    to_command, to_workload = signals
    with started(home, *line) as process:
        read_until(process.stderr, moment)
        workers = [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        if to_command:
            os.killpg(process.pid, to_command)
        if to_workload:
            os.kill(workers[0], to_workload)
        return Stopped(home, finish(process), workers)


Everything = tuple[dict[str, "subprocess.CompletedProcess[str]"], dict[str, Stopped]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A /sys without any sensor."""
    return tmp_path_factory.mktemp("bare")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree("intel_server_2s", tmp_path_factory.mktemp("server") / "tree")


@pytest.fixture(scope="module")
def everything(home: Path, bare: Path, server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everything]:
    """Runs of every kind, all at the same time: those that come to their end into one database, the others by name."""
    tariff = home / "tariff.toml"
    tariff.write_text('currency = "EUR"\nprice_per_kwh = 0.5\ncapital = 1000\n', encoding="utf-8")
    model = home / "dynamic.onnx"
    save_model(model, ["batch", 3])
    tiny, served = (*TINY, *SHORT, "--path.sysfs"), (server, *BARE_METAL)
    whole = {
        "measured": (*tiny, *served, "--batch", "1,2,1", "--tariff", tariff, "--json"),
        "estimated": (*tiny, bare, "--batch", 1, "--price-per-kwh", 0.2),
        "without": (*tiny, bare, *BARE_METAL, "--no-estimates", "--batch", 1, "--json", "--capital", 9),
        "twice": (*tiny, *served, "--batch", 1, "--repeats", 2, "--price-per-kwh", 1, "--json"),
        "onnx": ("profile", "onnx", "--model", model, "--batch", "1,2", *SHORT, "--path.sysfs", *served, "--json"),
    }
    long = (*tiny, *served, "--batch", 1, "--repeats", 50, "--json")
    slow = (*tiny, *served, "--batch", 1, "--warmup-seconds", 60, "--json")
    cut: dict[str, tuple[str, tuple[int, int], tuple[object, ...]]] = {
        "ctrl-c": ("decode: repeat 4 of 50", (signal.SIGINT, 0), long),
        "dies": ("decode: repeat 4 of 50", (0, signal.SIGKILL), long),
        "ctrl-c early": ("trying the model", (signal.SIGINT, 0), slow),
        "ctrl-c idle": ("idle, before the model", (signal.SIGINT, 0), slow),
        "terminated": ("prefill: warming up", (signal.SIGTERM, 0), slow),
    }
    homes = tmp_path_factory.mktemp("homes")
    with moving(server, WATTS), ThreadPoolExecutor(len(whole) + len(cut)) as pool:
        waiting = {name: pool.submit(run, home, *line) for name, line in whole.items()}
        stopping = {name: pool.submit(stop, homes / name.replace(" ", "-"), *given) for name, given in cut.items()}
        yield (
            {name: future.result() for name, future in waiting.items()},
            {name: future.result() for name, future in stopping.items()},
        )


@pytest.fixture(scope="module")
def runs(everything: Everything) -> dict[str, subprocess.CompletedProcess[str]]:
    return everything[0]


@pytest.fixture(scope="module")
def stopped(everything: Everything) -> dict[str, Stopped]:
    return everything[1]


def save_model(path: Path, shape: list[int | str]) -> None:
    """Save a model of one addition over a float input of this shape."""
    from onnx import TensorProto, helper, save_model

    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")}
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [value["x"]], [value["y"]])
    opset = helper.make_operatorsetid("", 17)
    save_model(helper.make_model(graph, opset_imports=[opset], ir_version=8), str(path))


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the document on standard output, held against the published schema."""
    found: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)
    return found


def stored(home: Path, run_id: str) -> tuple[Run | None, tuple[Window, ...]]:
    """Return a run and its windows as the database of `home` has them."""
    engine = open_database(str(home / "state/inferometer/inferometer.db"), create=False)
    try:
        reader = Reader(engine)
        return reader.run(run_id), reader.windows(run_id)
    finally:
        engine.dispose()


def only_run(home: Path) -> tuple[Run | None, tuple[Window, ...]]:
    """Return the one run in the database of `home`."""
    from sqlalchemy import text

    engine = open_database(str(home / "state/inferometer/inferometer.db"), create=False)
    with engine.connect() as connection:
        [run_id] = connection.execute(text("SELECT id FROM runs")).scalars()
    engine.dispose()
    return stored(home, run_id)


# --- runs that come to their end ------------------------------------------------------------------------------------


def test_measured_energies_are_the_known_watts_times_the_time_and_within_their_bounds(
    home: Path, runs: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    result = runs["measured"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    _, windows = stored(home, found["id"])
    assert [point["name"] for point in found["points"]] == ["batch=1", "batch=2"]
    for point in found["points"]:
        own = [window for window in windows if window.point == point["name"]]
        seconds = mean(
            sum((w.end_ns - w.start_ns) / 1e9 / w.inferences for w in own if w.repeat == repeat) for repeat in (1, 2, 3)
        )
        total = point["energy"]["per_inference"]["total"]
        assert total["mean"] == pytest.approx(180 * seconds, rel=0.03)
        assert total["lower"] <= 180 * seconds <= total["upper"]
        assert total["source"] == "measured"
        assert point["power"]["mean"]["mean"] == pytest.approx(180, rel=0.03)
        assert {(each["device"], each["domain"]) for each in point["energy"]["devices"] if each["counted"]} == {
            ("psys", "psys")
        }
    assert {(each["device"], each["domain"]) for each in found["coverage"]["includes"]} == {("psys", "psys")}
    assert [baseline["state"] for baseline in found["baselines"]] == ["unloaded", "loaded"]


def test_a_tariff_file_prices_what_was_measured_and_names_what_it_lacks(
    runs: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    for point in document(runs["measured"])["points"]:
        cost = point["cost"]
        joules = point["energy"]["per_inference"]["total"]["mean"]
        assert cost["currency"] == "EUR"
        assert cost["usage"]["per_inference"]["energy"]["mean"] == pytest.approx(joules / 3.6e6 * 0.5 * 1.54)
        assert cost["allocation"] is None
        assert "utilization" in {missing["name"] for missing in cost["missing"]}


def test_where_nothing_measures_every_energy_and_cost_says_estimated(
    home: Path, runs: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    result = runs["estimated"]
    assert result.returncode == 0, result.stderr
    assert "warning: processor power: estimated to ±" in result.stderr
    assert "[0/11] idle, before the model is loaded" in result.stderr
    tables = {part.partition("\n")[0].split()[0]: part.splitlines() for part in result.stdout.split("\n\n")}
    for heading in ("Energy", "Cost"):
        rows = [line for line in tables[heading] if line.startswith("batch=")]
        assert rows
        assert all(row.endswith("estimated") for row in rows)
    assert all("estimated" in line for line in tables["Profile"] if line.startswith(("Energy", "Idle")))
    found = document(call(home, "profiles", "show", "--json", run_id(result)))
    assert found["coverage"]["source"] == "estimated"
    assert found["coverage"]["uncertainty"] > 0.3
    assert any(note.startswith("processor power: estimated to ±") for note in found["notes"])
    for point in found["points"]:
        total = point["energy"]["per_inference"]["total"]
        assert total["source"] == point["power"]["source"] == "estimated"
        assert total["upper"] >= total["mean"] * (1 + found["coverage"]["uncertainty"]) * 0.999
        assert {each["method"] for each in point["energy"]["devices"]} == {"model"}
        assert point["cost"]["usage"]["per_inference"]["energy"]["mean"] > 0
        assert point["cost"]["usage"]["per_inference"]["capital"] is None
        assert point["cost"]["currency"] is None


def run_id(result: subprocess.CompletedProcess[str]) -> str:
    """Return the id of the profile that was shown."""
    return result.stdout.split()[1]


def test_without_sensors_and_estimates_there_is_time_and_nothing_invented(
    runs: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    result = runs["without"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert any("there is time, and no energy" in note for note in found["notes"])
    for point in found["points"]:
        assert point["inferences_per_second"]["mean"] > 0
        assert (point["energy"], point["power"], point["cost"]) == (None, None, None)


def test_fewer_than_three_repeats_are_not_enough_and_the_profile_says_so(
    runs: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    result = runs["twice"]
    assert result.returncode == 1
    assert "no point met the expectations" in result.stderr
    found = document(result)
    assert (found["effort"]["name"], found["effort"]["repeats"]) == ("custom", 2)
    for point in found["points"]:
        assert (point["valid"], point["energy"], point["cost"]) == (False, None, None)
        [reason] = [finding["message"] for finding in point["findings"] if finding["expectation"] == "repeats"]
        assert "2 complete repeats, at least 3" in reason


def test_an_onnx_model_with_an_open_batch_is_swept(runs: dict[str, subprocess.CompletedProcess[str]]) -> None:
    result = runs["onnx"]
    assert result.returncode == 0, result.stderr
    found = document(result)
    assert [(point["name"], point["batch"]) for point in found["points"]] == [("batch=1", 1), ("batch=2", 2)]
    assert [phase["phase"] for phase in found["points"][0]["phases"]] == ["inference"]
    assert len(found["workload"]["model_sha256"]) == 64


# --- stored profiles ------------------------------------------------------------------------------------------------


def test_the_runs_of_one_database_are_listed_shown_and_exported(
    home: Path, runs: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    listed = json.loads(call(home, "profiles", "list", "--json").stdout)["profiles"]
    assert len(listed) == len(runs)
    assert [each["created"] for each in listed] == sorted((each["created"] for each in listed), reverse=True)
    assert {each["source"] for each in listed} == {"measured", "estimated", None}
    table = call(home, "profiles", "list").stdout.splitlines()
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
    assert blocked.returncode == 1
    assert str(home) in blocked.stderr


def test_before_there_is_a_database_lists_are_empty_and_none_is_made(tmp_path: Path) -> None:
    listed = call(tmp_path, "profiles", "list", "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, {"profiles": []})
    shown = call(tmp_path, "profiles", "show")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert f"no profile 'latest' is stored in {tmp_path}/state/inferometer/inferometer.db" in shown.stderr
    assert list(tmp_path.iterdir()) == []


# --- runs that do not -----------------------------------------------------------------------------------------------


def test_ctrl_c_stops_the_workload_and_keeps_what_is_complete(stopped: dict[str, Stopped]) -> None:
    ended = stopped["ctrl-c"]
    assert ended.result.returncode == 130
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    assert "interrupted: the workload was stopped; what was complete by then is kept" in ended.result.stderr
    found = document(ended.result)
    assert found["status"] == "interrupted"
    assert any("interrupted" in note for note in found["notes"])
    [point] = found["points"]
    kept, windows = stored(ended.home, found["id"])
    complete = sum(window.phase == "decode" for window in windows)
    assert complete >= 3
    assert (point["valid"], point["repeats"]) == (True, complete)  # a prefill alone is not taken for an inference
    assert {phase["repeats"] for phase in point["phases"]} == {complete}
    assert point["energy"]["per_inference"]["total"]["source"] == "measured"
    assert kept is not None
    assert kept.status is RunStatus.INTERRUPTED
    assert kept.ended_ns > kept.started_ns


@pytest.mark.parametrize(("name", "code", "workers"), [("ctrl-c idle", 130, 0), ("terminated", 143, 1)])
def test_stopped_before_the_first_repeat_there_is_no_profile_and_a_clear_word(
    stopped: dict[str, Stopped], name: str, code: int, workers: int
) -> None:
    ended = stopped[name]
    assert (ended.result.returncode, ended.result.stdout) == (code, "")
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False] * workers
    assert "interrupted: the workload was stopped; no repeat was complete by then" in ended.result.stderr
    kept, windows = only_run(ended.home)
    assert kept is not None
    assert kept.status is RunStatus.INTERRUPTED
    assert all(not window.point for window in windows)
    assert json.loads(call(ended.home, "profiles", "list", "--json").stdout) == {"profiles": []}


def test_stopped_while_the_model_is_tried_nothing_is_left_behind(stopped: dict[str, Stopped]) -> None:
    ended = stopped["ctrl-c early"]
    assert (ended.result.returncode, ended.result.stdout) == (130, "")
    assert not any(Path(f"/proc/{pid}").exists() for pid in ended.workers)
    assert "there is no profile" in ended.result.stderr
    assert "Traceback" not in ended.result.stderr


def test_a_workload_that_dies_on_its_way_fails_the_run_and_keeps_what_is_complete(stopped: dict[str, Stopped]) -> None:
    ended = stopped["dies"]
    assert ended.result.returncode == 1
    assert "error: the workload process ended during 'measure' (killed by SIGKILL)" in ended.result.stderr
    assert "out of memory" in ended.result.stderr
    assert [Path(f"/proc/{pid}").exists() for pid in ended.workers] == [False]
    found = document(ended.result)
    assert found["status"] == "failed"
    assert found["points"][0]["repeats"] >= 3
    assert any("the run failed" in note for note in found["notes"])
    kept, _ = stored(ended.home, found["id"])
    assert kept is not None
    assert kept.status is RunStatus.FAILED


# --- what is refused before anything is measured --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch", "1,x"), "--batch 1,x: give whole numbers"),
        (("--batch", "0"), "--batch 0"),
        (("--batch", ""), "--batch"),
        (("--batch", "1,,2"), "--batch 1,,2"),
        (("--batch", "1e3"), "--batch 1e3"),
        (("--batch", "99999999999"), "--batch 99999999999"),
        (("--quick", "--rigorous"), "one of --quick, --standard and --rigorous"),
        (("--provider", "tpu"), "--provider"),
        (("--repeats", 0), "--repeats"),
        (("--window-seconds", "nan"), "--window-seconds"),
        (("--idle-seconds", "inf"), "--idle-seconds"),
        (("--width", 33, "--heads", 2), "--width 33"),
        (("--layers", 0), "--layers is 0"),
        (("--price-per-kwh", -1), "price_per_kwh = -1"),
        (("--utilization", 1.5), "utilization = 1.5"),
        (("--tariff", "nowhere.toml"), "nowhere.toml: the tariff cannot be read"),
        (("--tariff", "typo.toml"), "did you mean price_per_kwh?"),
    ],
)
def test_what_makes_no_sense_ends_with_2_and_says_why(
    tmp_path: Path, arguments: tuple[object, ...], words: str
) -> None:
    (tmp_path / "typo.toml").write_text("prize_per_kwh = 1\n")
    result = call(tmp_path, "profile", "transformer", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("shape", "arguments", "words"),
    [
        (["batch", "length"], (), "--shape x=1x<length>"),
        ([1, 3], ("--batch", "1,2"), "--batch 2"),
        ([1, 3], ("--shape", "z=1x3"), "--shape z"),
        ([1, 3], ("--shape", "x=3"), "--shape x=3: the model declares"),
        ([1, 3], ("--shape", "x"), "--shape x: say it as"),
        (None, (), "broken.onnx"),
    ],
)
def test_a_model_that_cannot_be_run_as_asked_is_refused_before_the_run(
    tmp_path: Path, server: Path, shape: list[int | str] | None, arguments: tuple[object, ...], words: str
) -> None:
    model = tmp_path / ("broken.onnx" if shape is None else "model.onnx")
    model.write_bytes(b"no model")
    if shape is not None:
        save_model(model, shape)
    line = ("profile", "onnx", "--model", model, *arguments, "--path.sysfs", server, *BARE_METAL)
    result = call(tmp_path, *line)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert "idle" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_model_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = call(tmp_path, "profile", "onnx", "--model", "nowhere.onnx")
    assert result.returncode == 2
    assert "nowhere.onnx" in result.stderr


def test_a_database_that_cannot_be_written_is_found_out_before_the_run(tmp_path: Path, server: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    database = closed / "new.db"
    line = (*TINY, *SHORT, *BARE_METAL, "--path.sysfs", server, *BARE_METAL, "--database")
    with as_nobody(tmp_path) as user:
        results = [run(tmp_path, *line, database, **user)]
    results += [call(tmp_path, *line, path) for path in ("/dev/null/x.db", closed)]
    for result in results:
        assert (result.returncode, result.stdout) == (1, "")
        assert "error: " in result.stderr
        assert "--database" in result.stderr
        assert "idle" not in result.stderr
        assert "Traceback" not in result.stderr
