from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import msgspec
import pytest

from agent.exports.mlperf_power import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from agent.exports.run_power import PoweredWindow, powered_windows
from agent.profiling.records import Document
from agent.workloads.load_records import ClientLoad, LoadWindow, RequestRecord
from agent.workloads.point import decode_point
from planner_documents import load, profile
from probes.model import Channel, Device, Kind
from store.database import open_database
from store.reader import Reader
from store.records import Host, Run, RunStatus, Tick, Window
from store.writer import Writer
from stored import SECOND_NS, store_of

START = 1_800_000_000 * SECOND_NS + 250_000_000
FORMAT = "%m-%d-%Y %H:%M:%S.%f"
DOCUMENT = profile(load((64, 32), 0.1, 0.02, 2.0, rate=2.0))


def window(phase="serving", point='{"rate":2.0}', seconds=10, arrivals="poisson", repeat=1):
    requests = tuple(
        RequestRecord(
            n * 10**9, n * 10**9, None, None, n * 10**9 + 10**8 * (n + 1), 64, None, 32, "ok" if n else "timeout"
        )
        for n in range(5)
    )
    client = ClientLoad(0.1, 1, 0.001, 0.002)
    report = LoadWindow(arrivals, requests, 0, 0, "usage", 30.0, client)
    return Window(
        "r", point, phase, repeat, START, START + seconds * SECOND_NS, 5, 5, 320, 160, (0.1, 0.2), (), 5.0,
        msgspec.json.encode(report).decode() if phase == "serving" else None,
    )  # fmt: skip


def powered(window, watts=(90.0, 110.0) * 5):
    step = (window.end_ns - window.start_ns) // len(watts)
    return PoweredWindow(window, tuple((window.start_ns + step * n + step // 2, each) for n, each in enumerate(watts)))


def of_points(*runs):
    """The document, with the points of these runs."""
    points = tuple(
        msgspec.structs.replace(DOCUMENT.points[0], parameters=decode_point(run.window.point)) for run in runs
    )
    return msgspec.structs.replace(DOCUMENT, points=points or DOCUMENT.points)


def files(*runs, document=None):
    document = document or of_points(*runs)
    exported = EXPORTER.files(ExportRequest((document,), windows=lambda _: runs))
    return {name: content.decode() for name, content in exported.files.items()}


def entries(text):
    """The entries of the log as MLPerf's own parser reads them: the first of each key."""
    found = {}
    for line in text.splitlines():
        entry = json.loads(line.removeprefix(":::MLLOG"))
        found.setdefault(entry["key"], entry["value"])
    return found


def test_run_has_the_three_logs_in_a_folder_of_its_scenario_and_point():
    assert set(files(powered(window()))) == {
        "NOT_AN_MLPERF_RESULT.txt",
        "Server/rate=2.0/performance/run_1/mlperf_log_detail.txt",
        "Server/rate=2.0/performance/run_1/mlperf_log_summary.txt",
        "Server/rate=2.0/performance/run_1/spl.txt",
    }


@pytest.mark.parametrize(
    ("own", "scenario"),
    [
        (window(), "Server"),
        (window(arrivals="closed", point='{"concurrency":1}'), "SingleStream"),
        (window(arrivals="closed", point='{"concurrency":4}'), "Offline"),
        (window(phase="inference", point='{"batch":1}'), "SingleStream"),
        (window(phase="inference", point='{"batch":8}'), "Offline"),
    ],
)
def test_scenario_is_the_one_that_resembles_the_load_most(own, scenario):
    assert any(name.startswith(f"{scenario}/") for name in files(powered(own)))


def test_power_between_begin_and_end_is_read_as_the_power_checker_reads_it():
    found = files(powered(window()))
    folder = "Server/rate=2.0/performance/run_1/"
    log = entries(found[folder + "mlperf_log_detail.txt"])
    begin, end = (datetime.strptime(log[key], FORMAT) for key in ("power_begin", "power_end"))  # noqa: DTZ007
    watts = []
    for line in found[folder + "spl.txt"].splitlines():
        assert re.fullmatch(r"Time,.*,Watts,.*,Volts,.*,Amps,.*,PF,.*,Mark,.*", line)
        at, value, factor = (line.split(",")[position] for position in (1, 3, 9))
        assert not float(factor) > 0  # a power factor that is not above 0 counts as unknown
        if begin < datetime.strptime(at, FORMAT) < end:  # noqa: DTZ007
            watts.append(float(value))
    assert sum(watts) / len(watts) == 100.0
    assert end - begin == timedelta(seconds=10)
    assert begin == datetime(2027, 1, 15, 8, 0, 0, 250_000)  # noqa: DTZ001


def test_rates_and_latencies_have_the_names_and_units_of_loadgen():
    log = entries(files(powered(window()))["Server/rate=2.0/performance/run_1/mlperf_log_detail.txt"])
    assert log["result_completed_samples_per_sec"] == 0.5
    assert log["result_completed_tokens_per_second"] == 16.0
    assert log["result_query_count"] == 4  # the time-out is left out
    assert log["result_mean_latency_ns"] == 350_000_000
    assert log["result_50.00_percentile_latency_ns"] == 350_000_000
    offline = entries(
        files(powered(window(phase="inference", point='{"batch":8}')))[
            "Offline/batch=8/performance/run_1/mlperf_log_detail.txt"
        ]
    )
    assert (offline["result_samples_per_second"], offline["result_mean_latency_ns"]) == (0.5, 150_000_000)


def test_every_file_says_that_it_is_not_an_mlperf_result_or_where_the_power_is_from():
    found = files(powered(window()))
    for name, text in found.items():
        assert "NOT an MLPerf result" in text or name.endswith("spl.txt")
    folder = "Server/rate=2.0/performance/run_1/"
    assert entries(found[folder + "mlperf_log_detail.txt"])["result_validity"] == "INVALID"
    assert "Result is : INVALID" in found[folder + "mlperf_log_summary.txt"]
    assert all(
        line.endswith(f"Mark,{DOCUMENT.id} {DOCUMENT.coverage.source}")
        for line in found[folder + "spl.txt"].splitlines()
    )


def test_names_of_points_cannot_leave_the_folder():
    named = powered(window(phase="inference", point='{"batch":1,"x":"../../a b"}'))
    assert all(re.fullmatch(r"[\w./=-]+", name) and ".." not in name.split("/") for name in files(named))


def test_foreign_id_cannot_add_a_line_or_a_field():
    run = powered(window())
    document = msgspec.structs.replace(of_points(run), id="x\nTime,1,Watts,9")
    lines = files(run, document=document)["Server/rate=2.0/performance/run_1/spl.txt"].splitlines()
    assert {line.count(",") for line in lines} == {11}
    assert len(lines) == 10


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ((), "its stored samples"),
        ((powered(window(seconds=9)),), "windows of at least 10 s"),
        ((powered(window(), watts=(90.0,) * 4),), "windows of at least 10 s with power throughout"),
    ],
)
def test_refusal_names_what_is_missing(runs, reason):
    with pytest.raises(ExportError, match=reason):
        files(*runs)


def test_points_without_energy_have_no_power_and_are_named():
    runs = powered(window(point='{"rate":2.0}')), powered(window(point='{"rate":4.0}'))
    good, bad = of_points(*runs).points
    bad = msgspec.structs.replace(bad, name="rate=4.0", valid=False, energy=None)
    document = msgspec.structs.replace(DOCUMENT, points=(good, bad))
    exported = EXPORTER.files(ExportRequest((document,), windows=lambda _: runs))
    assert not any("rate=4.0" in name for name in exported.files)
    assert "left out, since they have no energy: rate=4.0" in " ".join(exported.notes)
    with pytest.raises(ExportError, match="a point with energy"):
        files(*runs, document=msgspec.structs.replace(DOCUMENT, points=(bad,)))


def test_profiles_without_power_or_whole_requests_are_refused():
    coverage = msgspec.structs.replace(DOCUMENT.coverage, source=None)
    with pytest.raises(ExportError, match="power"):
        files(document=msgspec.structs.replace(DOCUMENT, coverage=coverage))
    point = DOCUMENT.points[0]
    phases = tuple(msgspec.structs.replace(phase, phase="decode") for phase in point.phases)
    split = msgspec.structs.replace(DOCUMENT, points=(msgspec.structs.replace(point, phases=phases),))
    with pytest.raises(ExportError, match="measured one by one"):
        files(powered(window()), document=split)
    with pytest.raises(ExportError, match="one profile"):
        EXPORTER.files(ExportRequest((DOCUMENT, DOCUMENT)))


@pytest.fixture
def stored_run(tmp_path):
    """A run of 10 s at 50 W, whose samples end 10 s after it, with a second sensor that the total leaves out."""
    engine = open_database(str(store_of(tmp_path)), create=True)
    writer = Writer(engine)
    cpu = Device("package-0", Kind.CPU)
    channels = tuple(Channel(cpu, domain, "energy_joules", refresh_seconds=0.1) for domain in ("package", "core"))
    (layout,) = writer.register(Host("host", "name"), [("rapl", channels)], "profile", START)
    steps = range(-100, 200)
    writer.append(
        [
            Tick(layout.id, START + n * SECOND_NS // 10, START + n * SECOND_NS // 10, (500 + 5.0 * n, 0.1 * n), ())
            for n in steps
        ]
    )
    own = window(phase="inference", point='{"batch":1}')
    writer.save_run(Run("r", "host", writer.recording, "onnx", "{}", RunStatus.COMPLETE, START))
    for each in (own, window(phase="idle_loaded", point="")):
        writer.save_window(each)
    yield Reader(engine), own
    engine.dispose()


def documented(*in_total):
    document = msgspec.to_builtins(msgspec.structs.replace(DOCUMENT, id="r"))
    sensor = next(each for device in document["devices"] for each in device["sensors"])
    document["devices"] = [
        {
            **document["devices"][0],
            "id": "package-0",
            "sensors": [
                {**sensor, "domain": domain, "metric": "energy_joules", "in_total": domain in in_total}
                for domain in ("package", "core", "dram")
            ],
        }
    ]
    return msgspec.convert(document, Document)


def test_power_of_a_window_is_the_sum_of_the_counted_sensors_each_second(stored_run):
    reader, own = stored_run
    (found,) = powered_windows(reader, documented("package"))
    assert found.window == own
    assert len(found.power) == 10
    assert [watts for _, watts in found.power] == pytest.approx([50.0] * 10, rel=0.01)
    assert found.power[0][0] == START + SECOND_NS // 2
    (both,) = powered_windows(reader, documented("package", "core"))
    assert [watts for _, watts in both.power] == pytest.approx([51.0] * 10, rel=0.01)


def test_window_has_no_power_if_a_counted_sensor_has_no_samples(stored_run):
    (found,) = powered_windows(stored_run[0], documented("package", "dram"))
    assert found.power == ()


def test_run_of_another_store_has_no_windows(stored_run):
    assert powered_windows(stored_run[0], DOCUMENT) == ()
