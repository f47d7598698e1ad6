"""`inferometer samples`: every stored sample once, in the requested format."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import time
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.render.sample_rows import Sample, samples
from agent.render.samples import write_csv
from command import INFEROMETER, call, environment
from probes.model import Channel, Device, Kind
from store.database import open_database
from store.maintenance.compaction import compact
from store.reader import Reader
from store.records import Host, Tick
from store.writer import Writer
from stored import SECOND_NS, prepared, record

if TYPE_CHECKING:
    from pathlib import Path

BEGAN_NS = 1_700_000_000 * SECOND_NS
BETWEEN = ("--since", "2023-11-14T22:00:00Z", "--until", "2023-11-14T23:00:00Z")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two overlapping recordings of 20 seconds, as after a clock was set back."""
    home = tmp_path_factory.mktemp("home")
    record(home, [BEGAN_NS + n * SECOND_NS for n in range(20)])
    record(home, [BEGAN_NS + 10 * SECOND_NS + n * SECOND_NS for n in range(20)], "profile")
    return home


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def test_csv_has_one_line_for_each_sample_ordered_by_recording(home: Path) -> None:
    done = call(home, "samples", *BETWEEN)
    found = rows(done.stdout)
    assert done.stdout.splitlines()[0] == "time,time_ns,device,domain,metric,source,value,unit,recording"
    assert done.stdout.splitlines()[1] == (
        "2023-11-14T22:13:20.000001000Z,1700000000000001000,package-0,package,cores,measured,8.0,,1"
    )
    assert len(found) == 2 * (18 + 20 + 20)  # two readings of the counter were rejected
    assert [row["recording"] for row in found] == ["1"] * 58 + ["2"] * 58
    for recording in "12":
        times = [int(row["time_ns"]) for row in found if row["recording"] == recording]
        assert times == sorted(times)
    assert {(row["metric"], row["source"], row["unit"]) for row in found} == {
        ("energy_joules", "measured", "joules"),
        ("power_watts", "estimated", "watts"),
        ("cores", "measured", ""),
    }


@pytest.mark.parametrize(
    ("patterns", "metrics"),
    [
        (["*/energy_joules"], {"energy_joules"}),
        (["package-?/package/*_watts", "*cores"], {"power_watts", "cores"}),
        (["package-0/*"], {"energy_joules", "power_watts", "cores"}),
    ],
)
def test_patterns_select_channels(home: Path, patterns: list[str], metrics: set[str]) -> None:
    done = call(home, "samples", *BETWEEN, *[word for pattern in patterns for word in ("--channel", pattern)])
    assert {row["metric"] for row in rows(done.stdout)} == metrics


def test_a_pattern_without_a_match_is_refused_with_the_channels_of_the_time(home: Path) -> None:
    done = call(home, "samples", *BETWEEN, "--channel", "GPU-*")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: no channel matches GPU-*; the channels of this time are:",
        "  package-0/package/cores",
        "  package-0/package/energy_joules",
        "  package-0/package/power_watts",
    ]


def test_the_start_is_included_and_the_end_is_excluded(home: Path) -> None:
    between = ("--since", "2023-11-14T22:13:21Z", "--until", "2023-11-14T22:13:24Z")
    done = call(home, "samples", *between, "--channel", "*/cores")
    assert [int(row["time_ns"]) // SECOND_NS - 1_700_000_000 for row in rows(done.stdout)] == [1, 2, 3]


@pytest.mark.parametrize("how", [("--format", "json"), ("--json",)])
def test_json_is_one_document_with_one_line_for_each_sample(home: Path, how: tuple[str, ...]) -> None:
    done = call(home, "samples", *BETWEEN, *how)
    document = json.loads(done.stdout)
    assert len(document["samples"]) == 116
    assert len(done.stdout.splitlines()) == 118
    assert document["samples"][1] == {
        "time": "2023-11-14T22:13:20.000001000Z",
        "time_ns": 1700000000000001000,
        "device": "package-0",
        "domain": "package",
        "metric": "energy_joules",
        "source": "measured",
        "value": 100.0,
        "unit": "joules",
        "recording": 1,
    }


def test_a_time_without_samples_gives_an_empty_output_and_a_message(home: Path) -> None:
    done = call(home, "samples", "--since", "1h", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"samples": []})
    assert "no such sample is stored" in done.stderr


def test_the_default_is_the_last_hour_until_now(tmp_path: Path) -> None:
    now_ns = time.time_ns() // 1000 * 1000
    record(tmp_path, [now_ns - 7200 * SECOND_NS, now_ns - 3000 * SECOND_NS, now_ns - SECOND_NS])
    done = call(tmp_path, "samples", "--channel", "*/energy_joules")
    assert [row["value"] for row in rows(done.stdout)] == ["101.0", "102.0"]


def test_a_file_appears_only_once_it_is_complete(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    done = call(home, "samples", *BETWEEN, "-o", file)
    assert (done.stdout, done.stderr) == ("", f"116 samples written to {file}\n")
    assert len(rows(file.read_text())) == 116
    assert list(tmp_path.iterdir()) == [file]


def test_a_dash_is_standard_output(home: Path) -> None:
    dash, default = (call(home, "samples", "--since", "100d", *words) for words in (("-o", "-"), ()))
    assert (dash.returncode, dash.stdout) == (0, default.stdout)
    assert not (home / "-").exists()


def test_a_file_that_cannot_be_written_is_reported(home: Path) -> None:
    done = call(home, "samples", *BETWEEN, "-o", "/proc/none/out.csv")
    assert done.returncode == 2
    assert "/proc/none/out.csv: it cannot be written" in done.stderr


def test_parquet_has_the_same_samples_with_times_in_nanoseconds(home: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "out.parquet"
    assert call(home, "samples", *BETWEEN, "--format", "parquet", "-o", file).returncode == 0
    table = parquet.read_table(file)
    expected = rows(call(home, "samples", *BETWEEN).stdout)
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert table.column_names == list(expected[0])
    times = [str(value) for value in table.column("time_ns").to_pylist()]
    assert times == [row["time_ns"] for row in expected]
    assert table.column("time").cast("int64").to_pylist() == table.column("time_ns").to_pylist()
    for name in ("device", "metric", "source", "unit"):
        assert table.column(name).to_pylist() == [row[name] for row in expected]
    assert table.column("value").to_pylist() == [float(row["value"]) for row in expected]


def test_parquet_without_its_library_is_refused_with_the_package_to_install(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow/__init__.py").write_text("raise ImportError('No module named pyarrow')")
    environ = environment(home)
    environ["PYTHONPATH"] = f"{tmp_path}:{environ['PYTHONPATH']}"
    line = [*INFEROMETER, "samples", "--format", "parquet", "-o", str(tmp_path / "x")]
    done = subprocess.run(line, env=environ, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'inferometer[parquet]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "yesterday"], "'yesterday' is not a time"),
        (["--since", "1h", "--until", "2h"], "--since: 1h is not before --until 2h"),
        (["--format", "parquet"], "name a file with -o"),
    ],
)
def test_wrong_options_end_with_2(home: Path, arguments: list[str], words: str) -> None:
    done = call(home, "samples", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_missing_store_is_reported(tmp_path: Path) -> None:
    done = call(tmp_path, "samples")
    assert done.returncode == 1
    assert "there is no database here yet" in done.stderr


def test_a_reader_may_close_the_pipe_early(home: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        line = [*INFEROMETER, "samples", *BETWEEN]
        done = subprocess.run(
            line, env=environment(home), cwd=home, stdout=write_end, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


# --- any step of the clock ------------------------------------------------------------------------------------------

CHANNEL = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")
recordings = st.lists(
    st.tuples(
        st.integers(-5000, 5000).map(lambda seconds: BEGAN_NS + seconds * SECOND_NS),  # the clock may step back
        st.lists(st.integers(1, 400_000).map(lambda ms: ms * 10**6), max_size=30),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recordings, st.integers(0, 3))
def test_each_stored_sample_is_exported_once_at_the_right_distance_at_any_age(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, list[int]]], compacted: int
) -> None:
    engine = open_database(str(prepared(tmp_path_factory.mktemp("store") / "inferometer.db")))
    expected = []
    try:
        for number, (began_ns, distances) in enumerate(history):
            writer = Writer(engine)
            (layout,) = writer.register(Host("host", "name"), [("rapl", (CHANNEL,))], "daemon", began_ns)
            moments = [began_ns]
            for distance in distances:
                moments.append(moments[-1] + distance)
            writer.append([Tick(layout.id, at, at, (float(n),)) for n, at in enumerate(moments)])
            expected += [(writer.recording, at, float(n)) for n, at in enumerate(moments)]
            if number < compacted:
                compact(engine, 2**62)
        reader = Reader(engine)
        start_ns, end_ns = min(at for _, at, _ in expected), max(at for _, at, _ in expected) + 1
        found = samples(reader, reader.recordings(start_ns, end_ns), start_ns, end_ns)
        assert sorted((sample.recording, sample.time_ns, sample.value) for sample in found) == sorted(expected)
    finally:
        engine.dispose()


def test_a_name_that_a_spreadsheet_would_compute_is_neutralized_and_a_negative_value_is_not() -> None:
    text = StringIO()
    write_csv([Sample(10**18, "=1+1", "-12V", "power_watts", "measured", -1.5, "watts", 1)], text)
    assert text.getvalue().splitlines()[1].split(",")[2:7] == ["'=1+1", "'-12V", "power_watts", "measured", "-1.5"]
