import pytest

from hwmon_readings import readings
from probes.errors import ReadError
from probes.furiosa import discover, parse_cards
from probes.model import Roots
from program_cards import cards, program
from trees import FIXTURES

CAPTURE = (FIXTURES / "furiosa/furiosa-smi_info.json").read_text()
UUID = "09512C86-0702-4303-8F40-474746474A40"
ADDRESS = "0000:03:00.0"


def test_power_temperature_and_clock_are_read_with_the_version_of_the_program(tmp_path):
    cards(tmp_path / "sys", 0x1ED2, ADDRESS)
    folder = program(tmp_path / "bin", "furiosa-smi", CAPTURE.encode())
    script = folder / "furiosa-smi"
    script.write_text(script.read_text().replace("cat", '[ "$1" = version ] && echo 2026.1.1 && exit\ncat'))
    (probe,) = discover(Roots(sysfs=str(tmp_path / "sys"), commands=str(folder))).probes
    assert readings(probe) == {
        (UUID, "card", "power_watts"): 38.4,
        (UUID, "core", "frequency_hertz"): 1e9,
        (UUID, "core", "temperature_celsius"): 40.98,
    }
    attributes = dict(probe.channels[0].device.attributes)
    assert (attributes["tool"], attributes["pci_address"]) == ("furiosa-smi 2026.1.1", ADDRESS)
    probe.close()


def test_a_card_without_a_uuid_is_left_out():
    assert parse_cards('[{"dev_name": "npu0", "power": "38.40 W"}, 5]') == ()


@pytest.mark.parametrize("text", ["", "| RNGD | npu0 | 38 W |", '{"error": "no device"}'])
def test_an_output_without_a_list_is_a_read_error(text):
    with pytest.raises(ReadError):
        parse_cards(text)
