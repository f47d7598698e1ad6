import math

import pytest

from amd_cards import MI300A, MI350X, STRIX, instinct, metrics_table, pci_card, ppt
from hwmon_readings import outer, readings
from trees import write

FIRST, SECOND = "0000:05:00.0", "0000:26:00.0"


def keys(probe):
    return {(channel.domain, channel.metric) for channel in probe.channels}


def test_the_graphics_of_an_apu_are_part_of_its_socket_and_package(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, STRIX)
    ppt(tmp_path, FIRST, 17, label="vddnb")
    (folder / "gpu_metrics").write_bytes(metrics_table((3, 0), socket_power=17_123, gfx_power=9_001, ipu_power=1_204))
    (probe,) = found().probes
    assert keys(probe) == {("graphics", "power_watts"), ("socket", "power_limit_watts")}
    assert outer(probe, "graphics") == ((FIRST, "socket"), ("package-0", "package"))
    assert probe.read(0) == [9.001, 750.0]


def test_the_power_of_an_apu_without_hwmon_is_that_of_its_socket(tmp_path, found):
    folder = pci_card(tmp_path, FIRST, 0xFFFF)
    (folder / "gpu_metrics").write_bytes(metrics_table((3, 0), socket_power=17_123))
    (probe,) = found().probes
    assert outer(probe, "socket") == (("package-0", "package"),)
    assert probe.read(0) == [17.123]


def test_the_energy_of_an_mi300a_is_that_of_its_socket(tmp_path, found):
    instinct(tmp_path, FIRST, MI300A, joules=70)
    (probe,) = found().probes
    assert outer(probe, "socket", "energy_joules") == ()
    assert readings(probe)[FIRST, "socket", "energy_joules"] == 70.0


def test_a_card_split_into_partitions_is_read_once(tmp_path, found):
    folder = instinct(tmp_path, FIRST)
    for number in range(8):
        home = folder if not number else tmp_path / f"devices/platform/amdgpu_xcp_{number}"
        card = home / f"drm/card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to("../..")
        link = tmp_path / f"class/drm/card{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(card)
    assert [probe.name for probe in found().probes] == [f"amdgpu/{FIRST}"]


def test_the_baseboard_of_mi350_cards_is_published_once_and_contains_every_card(tmp_path, found):
    cards = [instinct(tmp_path, address, MI350X, index=at) for at, address in enumerate((FIRST, SECOND))]
    write(cards[0] / "board/node_power", 1400)
    write(cards[1] / "board/node_power", 1400)
    first, second = found().probes
    assert readings(first)[FIRST, "baseboard", "power_watts"] == 1400.0
    assert ("baseboard", "power_watts") not in keys(second)
    assert outer(first, "baseboard") == ()
    for probe in (first, second):
        assert outer(probe, "package", "energy_joules") == ((FIRST, "baseboard"),)


@pytest.mark.parametrize("shown", [0, 4294967295])
def test_a_baseboard_without_a_value_contains_nothing(tmp_path, found, shown):
    folder = instinct(tmp_path, FIRST, MI350X)
    write(folder / "board/node_power", shown)
    (probe,) = found().probes
    if shown:
        assert math.isnan(readings(probe)[FIRST, "baseboard", "power_watts"])
    else:
        assert ("baseboard", "power_watts") not in keys(probe)


def test_the_baseboard_is_left_out_if_the_energy_of_a_card_is_unknown(tmp_path, found):
    cards = [instinct(tmp_path, address, MI350X, index=at) for at, address in enumerate((FIRST, SECOND))]
    write(cards[0] / "board/node_power", 1400)
    (cards[1] / "gpu_metrics").unlink()
    first, _ = found().probes
    assert ("baseboard", "power_watts") not in keys(first)
    assert outer(first, "package", "energy_joules") == ()
