import os

import pytest

from hwmon_readings import channel, outer, readings
from probes.errors import ReadError
from probes.model import Kind, Roots
from probes.qaic import discover, parse_query
from program_cards import cards, program
from trees import FIXTURES

CAPTURE = (FIXTURES / "qualcomm/qaic-util_-q.txt").read_text()
FIRST, SECOND = "0000:03:00.0", "0000:04:00.0"
SWITCH = {FIRST: "0000:01:00.0", SECOND: "0000:01:00.0"}
SERIAL = CAPTURE.replace("\tSku Type", "\tBoard serial:QC0123\n\tSku Type")


def powers(text, switches=None):
    found = {}
    for card in parse_query(text, switches or {}):
        for (domain, metric), value in card.values.items():
            if metric == "power_watts" and value is not None:
                found[card.device.id, domain] = value
    return found


CHIPS = {(FIRST, "soc"): 11.0, (SECOND, "soc"): 12.0}


def test_the_power_of_a_board_counts_once_for_its_chips_and_contains_them():
    assert powers(SERIAL) == {(FIRST, "board"): 48.0, **CHIPS}
    first, second = parse_query(SERIAL, {})
    assert first.outer == second.outer == {"soc": ((FIRST, "board"),)}
    assert first.limits == {"soc": 31.0, "board": 150.0}


def test_chips_of_an_ultra_card_without_a_serial_number_share_their_switch():
    assert powers(CAPTURE, SWITCH) == {(FIRST, "board"): 48.0, **CHIPS}


def test_chips_of_other_cards_are_boards_of_their_own():
    other = CAPTURE.replace("Pcie Ultra", "Pcie Standard")
    assert powers(other, SWITCH) == {(FIRST, "board"): 48.0, (SECOND, "board"): 48.0, **CHIPS}
    assert powers(CAPTURE, {FIRST: "0000:01:00.0", SECOND: "0000:81:00.0"}) == powers(other)


def test_the_highest_report_of_a_board_is_its_power():
    assert powers(SERIAL.replace("48.00", "51.00", 1))[FIRST, "board"] == 51.0


def test_a_board_at_0_watts_has_no_meter_so_its_chips_count():
    silent = SERIAL.replace("48.00", "0.00")
    assert powers(silent) == CHIPS
    assert {tuple(card.outer) for card in parse_query(silent, {})} == {()}


def test_the_lines_of_older_programs_are_read():
    text = f"QID 0\n\tPCI Address:{FIRST}\n\tBoard power(Watts):48.00\n\tTDP Cap(Watts):75.00\n"
    (card,) = parse_query(text, {})
    assert (card.values["board", "power_watts"], card.limits["board"]) == (48.0, 75.0)


def test_free_memory_gives_the_memory_in_use():
    text = f"QID 0\n\tPCI Address:{FIRST}\n\tDram Total:1000 KB\n\tDram Free:400 KB\n"
    (card,) = parse_query(text, {})
    assert card.values["memory", "memory_used_bytes"] == 600 * 1024.0


@pytest.mark.parametrize("text", ["", "QID 0\n", "PCI Address:0000:03:00.0\n", "QID 0\n\tPCI Address:nowhere\n"])
def test_an_output_without_a_chip_is_a_read_error(text):
    with pytest.raises(ReadError):
        parse_query(text, {})


def test_the_chips_of_an_ultra_card_are_found_below_their_switch(tmp_path):
    cards(tmp_path / "sys", 0x17CB, FIRST, SECOND, driver="qaic")
    for address in (FIRST, SECOND):
        link = tmp_path / "sys/bus/pci/devices" / address
        home = tmp_path / f"sys/devices/pci0000:00/0000:01:00.0/0000:02:0{address[6]}.0" / address
        home.parent.mkdir(parents=True)
        link.resolve().rename(home)
        link.unlink()
        link.symlink_to(os.path.relpath(home, link.parent))
    folder = program(tmp_path / "bin", "qaic-util", CAPTURE.encode())
    (probe,) = discover(Roots(sysfs=str(tmp_path / "sys"), commands=str(folder))).probes
    read = {key[:2]: value for key, value in readings(probe).items() if key[2] == "power_watts"}
    assert read == {(FIRST, "board"): 48.0, **CHIPS}
    assert channel(probe, "board").max_plausible == 4 * 150.0
    assert channel(probe, "board").device.kind is Kind.ACCELERATOR
    assert outer(probe, "board") == ()
    probe.close()
