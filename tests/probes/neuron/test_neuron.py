import json
import math
from pathlib import Path

import pytest

from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Roots
from probes.neuron import discover
from probes.neuron.monitor import MOST_BYTES, Monitor, parse
from probes.settings import SensorSettings
from trees import copy_tree, write
from vendor_programs import FOLDER, VendorProgram
from waiting import await_true

CAPTURES = Path(__file__).parents[2] / "fixtures/neuron"
BUSY, IDLE, NULLS = (
    (CAPTURES / f"neuron-monitor_{name}.jsonl").read_text(encoding="utf-8") for name in ("inf2xl_busy", "idle", "nulls")
)
SERIAL = "0123456789abcdef"
SECOND = 1_000_000_000


@pytest.fixture
def sysfs(tmp_path):
    return copy_tree("neuron", tmp_path / "tree")


@pytest.fixture
def program(tmp_path):
    installed = VendorProgram(tmp_path, "neuron-monitor")
    prints(installed, BUSY)
    return installed


@pytest.fixture
def search(tmp_path, sysfs):
    found = []

    def run(**settings):
        found.append(discover(Roots(str(sysfs), commands=str(tmp_path / FOLDER)), SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


def prints(program, *reports, then="exec sleep 600"):
    """Let the program print these reports, and go on."""
    write(program.folder / "reports", "".join(reports).rstrip("\n"))
    program.runs(f"cat {program.folder}/reports", then)


def next_values(probe, at_ns=SECOND):
    """Read until the program has printed a report."""
    values = []

    def has_report():
        values[:] = probe.read(at_ns)
        return probe.taken_ns is not None

    await_true(has_report)
    return values


def monitor_of(program):
    return Monitor(program.folder / "neuron-monitor")


def test_the_captured_report_has_cores_and_memory():
    assert parse(BUSY) == {0: 0.8940087251059674, 1: 0.0, "used": 141649980.0, "total": 34359738368.0}


def test_without_a_program_on_the_device_only_its_size_is_known():
    assert parse(IDLE) == {"total": 34359738368.0}
    assert parse(NULLS) == {"total": 34359738368.0}


@pytest.mark.parametrize(
    "report",
    [
        [],
        {},
        {
            "neuron_runtime_data": [
                None,
                1,
                "x",
                {},
                {"report": None},
                {"report": {"neuroncore_counters": {"error": "x"}}},
            ]
        },
        {"neuron_runtime_data": [{"report": {"neuroncore_counters": {"neuroncores_in_use": {"x": {}, "²": {}}}}}]},
        {"neuron_runtime_data": [{"report": {"memory_used": {"neuron_runtime_used_bytes": {"neuron_device": "N/A"}}}}]},
    ],
)
def test_a_report_of_another_form_has_no_values(report):
    assert parse(json.dumps(report)) == {"total": None}


def test_a_truncated_report_is_a_read_error():
    with pytest.raises(ReadError, match="no JSON"):
        parse('{"neuron_runtime_data"')


@pytest.mark.usefixtures("program")
def test_each_core_has_its_load_and_the_device_its_memory(search):
    (probe,) = search().probes
    assert [(c.path, c.metric) for c in probe.channels] == [
        (f"{SERIAL}/core-0", "utilization_ratio"),
        (f"{SERIAL}/core-1", "utilization_ratio"),
        (f"{SERIAL}/memory", "memory_used_bytes"),
        (f"{SERIAL}/memory", "memory_total_bytes"),
    ]
    assert (probe.channels[0].device.kind, probe.channels[0].device.name) == (Kind.ACCELERATOR, "Inferentia2")
    assert next_values(probe) == [0.8940087251059674, 0.0, 141649980.0, 34359738368.0]
    assert probe.taken_ns[0] <= probe.taken_ns[1]


@pytest.mark.usefixtures("program")
def test_the_device_has_no_power_and_the_price_remains(search):
    found = search()
    assert not {c.metric for probe in found.probes for c in probe.channels} & {"power_watts", "energy_joules"}
    (problem,) = found.problems
    assert not problem.is_unreadable
    assert "AWS shows no power" in problem.reason
    assert "--price-per-hour" in problem.remedy
    assert problem.device.device.id == SERIAL


def test_only_the_last_of_several_reports_counts_and_none_is_read_twice(search, program):
    prints(program, BUSY, IDLE)
    (probe,) = search().probes
    values = next_values(probe)
    assert all(map(math.isnan, values[:3]))
    assert all(map(math.isnan, probe.read(2 * SECOND)))
    assert probe.taken_ns is None


def test_the_program_gets_a_configuration_of_one_second_that_is_deleted_at_its_end(search, program):
    program.runs(f'cp "$2" {program.folder}/copy; cat {program.folder}/reports; exec sleep 600')
    (probe,) = search().probes
    next_values(probe)
    configuration = json.loads((program.folder / "copy").read_text(encoding="utf-8"))
    assert configuration["period"] == "1s"
    file = Path(program.calls[0].split()[1])
    assert file.exists()
    probe.close()
    assert not file.parent.exists()


def test_the_program_ends_with_the_probe(search, program):
    program.runs(f"echo $$ > {program.folder}/number; exec sleep 600")
    (probe,) = search().probes
    number = program.folder / "number"
    await_true(lambda: number.exists() and number.read_text(encoding="utf-8").strip())
    probe.close()
    assert not Path(f"/proc/{number.read_text(encoding='utf-8').strip()}").exists()
    probe.close()


def test_a_program_that_ends_is_started_again_after_ten_seconds(search, program):
    prints(program, BUSY, then="exit 3")
    (probe,) = search().probes
    next_values(probe)

    def ended():
        try:
            probe.read(2 * SECOND)
        except ReadError as error:
            return str(error)
        return ""

    await_true(ended)
    with pytest.raises(ReadError, match="neuron-monitor ended"):
        probe.read(3 * SECOND)
    assert len(program.calls) == 1
    assert next_values(probe, 12 * SECOND)[1] == 0.0
    assert len(program.calls) == 2


def test_a_report_without_an_end_is_a_read_error(program):
    program.runs("exec cat /dev/zero")
    monitor = monitor_of(program)

    def too_long():
        try:
            return monitor.latest()
        except ReadError as error:
            return f"printed more than {MOST_BYTES} bytes" in str(error)

    await_true(too_long)
    monitor.close()


def test_a_program_that_cannot_be_started_is_a_read_error(tmp_path):
    with pytest.raises(ReadError, match="No such file"):
        Monitor(tmp_path / "gone")


def test_a_missing_program_is_a_problem_and_the_missing_power_is_listed(search):
    found = search()
    assert found.probes == ()
    assert ["AWS shows no power" in problem.reason for problem in found.problems] == [True, False]
    assert "aws-neuronx-tools" in found.problems[1].remedy


@pytest.mark.usefixtures("program")
def test_memory_in_use_is_that_of_all_devices_and_left_out_if_there_are_two(search, sysfs):
    other = sysfs / "devices/virtual/neuron_device/neuron1"
    for name, text in (("core_count", 2), ("info/serial_number", "fedcba9876543210")):
        write(other / name, text)
    (sysfs / "class/neuron_device/neuron1").symlink_to(other)
    (probe,) = search().probes
    assert [c.path for c in probe.channels if c.metric == "utilization_ratio"] == [
        f"{SERIAL}/core-0",
        f"{SERIAL}/core-1",
        "fedcba9876543210/core-0",
        "fedcba9876543210/core-1",
    ]
    assert not any(c.metric == "memory_used_bytes" for c in probe.channels)


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("entry", "left"), [(SERIAL, 0), ("neuron", 0), (f"{SERIAL}/core-1", 3)])
def test_an_excluded_device_or_core_is_not_read(search, entry, left):
    found = search(exclude=(entry,))
    assert sum(len(probe.channels) for probe in found.probes) == left
    assert found.excluded == {entry}


def test_a_host_without_a_device_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no device of the Neuron driver"):
        discover(Roots(str(tmp_path)))
