import json

import pytest

from probes import tenstorrent
from probes.conformance import FakeSensor, assert_conforms
from probes.model import Roots
from program_hosts import ProgramHost
from trees import copy_tree, write
from value_file_hosts import ValueFileHost
from vendor_programs import FOLDER

PLACES = {"0000:02:00.0": "tenstorrent!1", "0000:ae:00.0": "tenstorrent!0"}


class CardsHost(ValueFileHost):
    """Two cards whose power hwmon shows."""

    def __init__(self, folder):
        sysfs = copy_tree("tenstorrent", folder / "tree")
        sensors = [
            FakeSensor(
                sysfs / f"devices/pci{address[:7]}/{address}/tenstorrent/{entry}/tt_aiclk",
                (f"{address}/package", "frequency_hertz"),
                1e-6,
            )
            for address, entry in PLACES.items()
        ]
        cards = (sysfs / f"devices/pci{address[:7]}/{address}" for address in PLACES)
        statuses = [write(card / "power/runtime_status", "active") for card in cards]
        links = tuple(sysfs / "class/tenstorrent" / entry for entry in PLACES.values())
        places = {"presence": links, "numbered": links, "statuses": statuses}
        super().__init__(folder, Roots(sysfs=str(sysfs)), sensors, **places)


class TtSmiHost(ProgramHost):
    """An n300 whose second chip tt-smi alone shows."""

    name = "tt-smi"
    nothing = '{"device_info": []}'
    rows = (1,)

    def __init__(self, folder):
        sysfs = copy_tree("tenstorrent", folder / "tree")
        for address, entry in PLACES.items():
            card = sysfs / f"devices/pci{address[:7]}/{address}/tenstorrent/{entry}"
            write(card / "tt_card_type", "n300")
            (card / "tt_aiclk").unlink()
        place = "0100014511704036-1/package"
        self.printed = {
            (place, "power_watts"): " 21.0",
            (place, "frequency_hertz"): " 800",
            (place, "temperature_celsius"): "34.8",
        }
        self.shown = {
            (place, "power_watts"): 21.0,
            (place, "frequency_hertz"): 8e8,
            (place, "temperature_celsius"): 34.8,
        }
        cards = [sysfs / f"devices/pci{address[:7]}/{address}" for address in PLACES]
        super().__init__(folder, Roots(sysfs=str(sysfs), commands=str(folder / FOLDER)), cards=cards)

    @staticmethod
    def output(texts, _):
        power, clock, celsius = texts.values()
        board = {"board_id": "0100014511704036", "board_type": "n300 R"}
        telemetry = {"power": power, "aiclk": clock, "asic_temperature": celsius}
        chips = [
            {"board_info": board | {"bus_id": "0000:ae:00.0"}, "telemetry": {"power": "16.0"}},
            {"board_info": board | {"bus_id": "N/A"}, "telemetry": telemetry},
        ]
        return "tt-smi has no terminal\n" + json.dumps({"device_info": chips})


@pytest.mark.system
def test_the_attributes_of_cards_conform(tmp_path):
    assert_conforms(tenstorrent.discover, CardsHost, tmp_path)


@pytest.mark.system
def test_the_program_conforms(tmp_path, monkeypatch):
    monkeypatch.setattr(tenstorrent, "SECONDS", 2.0)
    assert_conforms(tenstorrent.discover, TtSmiHost, tmp_path, not_exercised={"renumbering"})
