import threading
from pathlib import Path

import pytest

from hwmon_readings import GPU, card, discover, hang, release
from probes.hwmon import probe as hwmon
from trees import hwmon_chip, write

pytestmark = pytest.mark.system


def test_a_hanging_file_at_discovery_is_a_problem_and_the_others_of_its_chip_are_found(tmp_path):
    hanging = hang(card(tmp_path) / "energy1_input")
    found = discover(tmp_path)
    (probe,) = found.probes
    assert [c.metric for c in probe.channels] == ["power_watts", "temperature_celsius"]
    (problem,) = found.problems
    assert Path(problem.sensor).samefile(hanging)
    assert "no answer within 0.5 s" in problem.reason
    assert "dmesg" in problem.remedy
    release(hanging)


def test_a_chip_with_a_hanging_limit_is_a_problem_and_the_other_chips_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(hwmon, "DEVICE_SECONDS", 2.0)
    hanging = hang(write(card(tmp_path) / "power1_cap", 1))
    hwmon_chip(tmp_path, 1, GPU.replace("0000:03", "0000:04"), {"name": "xe", "power1_input": 7_000_000}, "xe")
    found = discover(tmp_path)
    assert [each.name for each in found.probes] == [f"hwmon/{GPU.split('/')[-1].replace('0000:03', '0000:04')}"]
    (problem,) = found.problems
    assert "did not answer within 2 s" in problem.reason
    assert "dmesg" in problem.remedy
    release(hanging)


def test_a_hanging_chip_is_abandoned_after_four_files(tmp_path):
    values = {"name": "xe"} | {f"power{number}_input": 1_000_000 for number in range(1, 9)}
    chip = hwmon_chip(tmp_path, 0, GPU, values, "xe")
    hanging = [hang(chip / f"power{number}_input") for number in range(1, 9)]
    found = discover(tmp_path)
    assert found.probes == ()
    assert len(found.problems) == 5
    assert "4 files of this device did not answer, so its 4 other sensors are not read" in found.problems[-1].reason
    release(*hanging)


def test_a_hanging_temperature_is_a_problem_too(tmp_path):
    hanging = hang(card(tmp_path) / "temp2_input")
    found = discover(tmp_path)
    assert [c.metric for c in found.probes[0].channels] == ["energy_joules", "power_watts"]
    assert [Path(each.sensor).name for each in found.problems] == ["temp2_input"]
    release(hanging)


def test_many_hanging_chips_leave_eight_threads_and_the_rest_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(hwmon, "DEVICE_SECONDS", 0.05)
    places = [GPU.replace("0000:03", f"0000:{number:02x}") for number in range(3, 23)]
    chips = [
        hwmon_chip(tmp_path, number, place, {"name": "xe", "power1_input": 1, "power1_cap": 1}, "xe")
        for number, place in enumerate(places)
    ]
    hanging = [hang(chip / "power1_cap") for chip in chips]
    found = discover(tmp_path)
    assert found.probes == ()
    assert len(found.problems) == 20
    assert ["did not answer within" in each.reason for each in found.problems] == [True] * 8 + [False] * 12
    assert "8 other files or devices of hwmon did not answer" in found.problems[-1].reason
    assert sum(thread.name.startswith("survey-") for thread in threading.enumerate()) <= 8
    release(*hanging)


def test_many_hanging_files_end_the_search_of_the_family(tmp_path, monkeypatch):
    monkeypatch.setattr(hwmon, "MOST_HUNG_CALLS", 2)
    chip = card(tmp_path)
    hanging = [hang(chip / f"{name}_input") for name in ("energy1", "power1")]
    found = discover(tmp_path)
    assert found.probes == ()
    assert [Path(each.sensor).name for each in found.problems[:2]] == ["energy1_input", "power1_input"]
    assert found.problems[2].sensor.endswith("temp2_input and 0 more")
    release(*hanging)
