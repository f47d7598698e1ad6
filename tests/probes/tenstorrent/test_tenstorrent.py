import copy
import json
import math
from pathlib import Path

import pytest

import vendor_programs
from probes import tenstorrent
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Roots
from probes.settings import SensorSettings
from trees import copy_tree, write

CAPTURE = (Path(__file__).parents[2] / "fixtures/tenstorrent/tt-smi_snapshot_p300c.json").read_text(encoding="utf-8")
N150 = "devices/pci0000:ae/0000:ae:00.0"
SECOND = 1_000_000_000


def n300():
    """A snapshot of an n300, made of the captured chip: the second chip has no address of its own."""
    snapshot = json.loads(CAPTURE)
    (first,) = snapshot["device_info"]
    first["board_info"] |= {"bus_id": "0000:ae:00.0", "board_type": "n300 L", "board_id": "0100014511704036"}
    second = copy.deepcopy(first)
    second["board_info"] |= {"bus_id": "N/A", "board_type": "n300 R"}
    second["telemetry"] |= {"power": " 21.0"}
    snapshot["device_info"].append(second)
    return snapshot


@pytest.fixture
def sysfs(tmp_path):
    return copy_tree("tenstorrent", tmp_path / "tree")


@pytest.fixture
def tt_smi(tmp_path):
    return vendor_programs.install(tmp_path, "tt-smi", CAPTURE)


@pytest.fixture
def search(tmp_path, sysfs):
    found = []

    def run(**settings):
        roots = Roots(str(sysfs), commands=str(tmp_path / vendor_programs.FOLDER))
        found.append(tenstorrent.discover(roots, SensorSettings(**settings)))
        return found[-1]

    yield run
    for probe in (probe for result in found for probe in result.probes):
        probe.close()


@pytest.mark.usefixtures("tt_smi")
def test_each_card_has_its_clock_and_its_facts(search):
    found = search()
    assert [probe.name for probe in found.probes] == ["tenstorrent/0000:02:00.0", "tenstorrent/0000:ae:00.0"]
    assert [probe.read(0) for probe in found.probes] == [[1.35e9], [1e9]]
    facts = dict(found.probes[1].channels[0].device.attributes)
    assert (facts["card_type"], facts["serial"]) == ("n150", "0100014511704036")


def test_the_program_is_not_run_if_hwmon_shows_every_chip(search, tt_smi):
    search()
    assert tt_smi.calls == []


def test_a_card_has_one_identity_in_hwmon_and_here(search, sysfs):
    from probes.hwmon import discover as discover_hwmon

    of_hwmon = discover_hwmon(Roots(str(sysfs)))
    wanted = {(c.device.id, c.device.kind, c.device.name) for p in of_hwmon.probes for c in p.channels}
    assert {(c.device.id, c.device.kind, c.device.name) for p in search().probes for c in p.channels} == wanted
    for probe in of_hwmon.probes:
        probe.close()


def test_padded_numbers_of_the_capture_are_read():
    assert tenstorrent.parse("Warning: no tty\n" + CAPTURE) == {
        ("0000:04:00.0", "power"): 16.0,
        ("0000:04:00.0", "aiclk"): 8e8,
        ("0000:04:00.0", "asic_temperature"): 34.8,
    }


def test_the_second_chip_of_an_n300_is_a_device_of_its_own(search, sysfs, tt_smi):
    write(sysfs / N150 / "tenstorrent/tenstorrent!0/tt_card_type", "n300")
    tt_smi.prints(json.dumps(n300()))
    probe = search().probes[-1]
    assert probe.name == "tenstorrent/tt-smi"
    assert {channel.device.id for channel in probe.channels} == {"0100014511704036-1"}
    assert {channel.device.kind for channel in probe.channels} == {Kind.ACCELERATOR}
    assert probe.channels[0].aliased
    assert probe.read(0) == [21.0, 8e8, 34.8]
    assert tt_smi.calls == ["-s --snapshot_no_tty"] * 2


def test_a_card_without_power_in_hwmon_has_that_of_the_program(search, sysfs, tt_smi):
    (sysfs / N150 / "hwmon/hwmon0/power1_input").unlink()
    tt_smi.prints(CAPTURE.replace("0000:04:00.0", "0000:ae:00.0"))
    probe = search().probes[-1]
    assert [(c.path, c.metric) for c in probe.channels] == [
        ("0000:ae:00.0/package", "power_watts"),
        ("0000:ae:00.0/package", "temperature_celsius"),
    ]
    assert probe.read(0) == [16.0, 34.8]


def test_the_program_runs_at_most_every_ten_seconds(search, sysfs, tt_smi):
    write(sysfs / N150 / "tenstorrent/tenstorrent!0/tt_card_type", "n300")
    tt_smi.prints(json.dumps(n300()))
    probe = search().probes[-1]
    probe.read(0)
    assert all(map(math.isnan, probe.read(8 * SECOND)))
    assert probe.read(10 * SECOND)[0] == 21.0


@pytest.mark.parametrize("status", [0, 1])
def test_a_program_that_fails_or_prints_no_json_is_a_problem(search, sysfs, tt_smi, status):
    (sysfs / N150 / "hwmon/hwmon0/power1_input").unlink()
    tt_smi.prints("Error: no Tenstorrent devices detected", status=status)
    found = search()
    assert len(found.probes) == 2
    assert "Error: no Tenstorrent" in found.problems[0].reason
    assert "/dev/tenstorrent" in found.problems[0].remedy


def test_a_missing_program_is_a_problem_only_if_a_chip_needs_it(search, sysfs):
    assert search().problems == ()
    (sysfs / N150 / "hwmon/hwmon0/power1_input").unlink()
    assert "tt-smi is not installed" in search().problems[0].reason


@pytest.mark.parametrize(
    "snapshot",
    [
        [],
        {},
        {"device_info": None},
        {"device_info": {}},
        {"device_info": [None, 5, "x", [], {}]},
        {"device_info": [{"board_info": [], "telemetry": None}]},
        {"device_info": [{"board_info": {"bus_id": None, "board_id": "a b"}, "telemetry": {"power": "5"}}]},
    ],
)
def test_a_snapshot_of_another_form_has_no_chip(snapshot):
    assert tenstorrent.parse(json.dumps(snapshot)) == {}


@pytest.mark.parametrize("power", [None, "N/A", "", "16 V", True, [1]])
def test_a_power_that_is_no_number_of_watts_is_absent(power):
    snapshot = json.loads(CAPTURE)
    snapshot["device_info"][0]["telemetry"]["power"] = power
    assert tenstorrent.parse(json.dumps(snapshot))["0000:04:00.0", "power"] is None


def test_a_truncated_snapshot_has_no_chip(search, sysfs, tt_smi):
    truncated = CAPTURE.split('"device_info"')[0]
    assert tenstorrent.parse(truncated) == {}
    (sysfs / N150 / "hwmon/hwmon0/power1_input").unlink()
    tt_smi.prints(truncated)
    assert "prints no power of a chip that hwmon lacks" in search().problems[0].reason


def test_an_output_without_json_is_a_read_error():
    with pytest.raises(ReadError, match="no JSON"):
        tenstorrent.parse("Traceback")


@pytest.mark.parametrize(("entry", "runs"), [("tenstorrent/tt-smi", 0), ("0100014511704036-1", 1)])
def test_an_excluded_chip_or_program_is_not_read(search, sysfs, tt_smi, entry, runs):
    write(sysfs / N150 / "tenstorrent/tenstorrent!0/tt_card_type", "n300")
    tt_smi.prints(json.dumps(n300()))
    found = search(exclude=(entry,))
    assert (len(found.probes), found.excluded, len(tt_smi.calls)) == (2, {entry}, runs)


def test_a_host_without_a_card_says_so(tmp_path):
    with pytest.raises(ProbeUnavailableError, match="no card of the driver tenstorrent"):
        tenstorrent.discover(Roots(str(tmp_path)))
