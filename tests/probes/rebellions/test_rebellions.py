import json
from contextlib import suppress

import pytest

from hwmon_readings import readings
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Kind, Roots
from probes.rebellions import discover, parse_stat
from probes.settings import SensorSettings
from program_cards import cards, program
from trees import FIXTURES

CAPTURE = (FIXTURES / "rebellions/rbln-stat.json").read_text()
FIRST, SECOND = "4126c167-c7a6-4d0a-80dd-ffbf3641d1b0", "a58a772b-1a27-4df3-823d-bd1d26627f74"
ADDRESSES = ("0000:03:00.0", "0000:04:00.0")


@pytest.fixture
def roots(tmp_path):
    cards(tmp_path / "sys", 0x1EFF, *ADDRESSES)
    return Roots(sysfs=str(tmp_path / "sys"), commands=str(program(tmp_path / "bin", "rbln-stat", CAPTURE.encode())))


def test_power_in_microwatts_memory_and_temperature_of_each_card_are_read(roots):
    (probe,) = discover(roots).probes
    read = readings(probe)
    assert read[FIRST, "card", "power_watts"] == 17.5218
    assert read[SECOND, "card", "power_watts"] == pytest.approx(18.307255)
    assert read[FIRST, "card", "temperature_celsius"] == 31.0
    assert read[FIRST, "memory", "memory_used_bytes"] == 0.0
    assert read[FIRST, "memory", "memory_total_bytes"] == 16877879296.0
    device = probe.channels[0].device
    assert (device.name, device.kind) == ("RBLN-CA22", Kind.NPU)
    assert dict(device.attributes) == {
        "pci_address": "0000:03:00.0",
        "serial": "0000000022513338",
        "driver_version": "3.0.0",
        "firmware": "3.0.0",
    }
    probe.close()


def test_npus_of_one_card_publish_its_power_once():
    document = json.loads(CAPTURE)
    document["devices"][1]["sid"] = document["devices"][0]["sid"]
    first, second = parse_stat(json.dumps(document))
    assert first.values["card", "power_watts"] == 17.5218
    assert second.values["card", "power_watts"] is None
    assert second.values["card", "temperature_celsius"] == 33.0


def test_an_npu_without_memory_or_an_address_has_its_power():
    (card,) = parse_stat('{"devices": [{"uuid": "a", "card_power": "5W", "memory": null}]}')
    assert card.values["card", "power_watts"] == 5.0


def test_a_banner_before_the_output_is_skipped():
    assert parse_stat("rbln-stat 3.0.0 [beta]\n" + CAPTURE) == parse_stat(CAPTURE)


@pytest.mark.parametrize("text", ["", "no device", "5", "[5]", '{"devices": {}}', CAPTURE[:500]])
def test_another_output_is_a_read_error_or_no_card(text):
    with suppress(ReadError):
        assert parse_stat(text) == ()


def test_a_missing_program_is_a_problem_of_each_card_which_is_listed_as_missing(roots, tmp_path):
    (tmp_path / "bin/commands/rbln-stat").unlink()
    problems = discover(roots).problems
    assert [problem.sensor for problem in problems] == [f"rebellions/{address}" for address in ADDRESSES]
    assert [problem.device.device.id for problem in problems] == list(ADDRESSES)
    assert "not installed" in problems[0].reason
    assert "install the Rebellions driver" in problems[0].remedy


def test_a_failing_program_is_a_problem_with_its_last_line(roots, tmp_path):
    program(tmp_path / "bin", "rbln-stat", b"no permission\n", code=3)
    assert "ended with 3: no permission" in discover(roots).problems[0].reason


def test_a_program_without_values_is_a_problem(roots, tmp_path):
    program(tmp_path / "bin", "rbln-stat", b'{"devices": []}')
    assert "prints no value" in discover(roots).problems[0].reason


def test_the_program_is_not_run_without_a_card(roots, tmp_path):
    empty = Roots(sysfs=str(tmp_path / "empty"), commands=roots.commands)
    with pytest.raises(ProbeUnavailableError, match="PCI vendor 0x1eff"):
        discover(empty)


def test_excluded_cards_and_domains_are_not_read(roots):
    found = discover(roots, SensorSettings(exclude=(FIRST, f"{SECOND}/memory")))
    assert {channel.path for channel in found.probes[0].channels} == {f"{SECOND}/card"}
    assert found.excluded == {FIRST, f"{SECOND}/memory"}
    found.probes[0].close()
    assert discover(roots, SensorSettings(exclude=(FIRST, SECOND))).problems == ()
