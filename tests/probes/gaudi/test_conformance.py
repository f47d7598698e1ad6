import pytest

from probes import gaudi
from probes.conformance import FakeSensor, assert_conforms
from probes.model import Roots
from program_hosts import ProgramHost
from trees import copy_tree, write
from value_file_hosts import ValueFileHost
from vendor_programs import FOLDER

CARDS = {"0000:19": ("0000:19:00.0", 226.0, 0.12), "0000:b3": ("0000:b3:00.0", 230.0, 0.5)}


class CardsHost(ValueFileHost):
    """Two cards without hl-smi."""

    def __init__(self, folder):
        sysfs = copy_tree("gaudi2", folder / "tree")
        sensors = []
        for bus, (address, _, _) in CARDS.items():
            card = sysfs / f"devices/pci{bus}/{address}"
            sensors += [
                FakeSensor(card / "clk_cur_freq_mhz", (f"{address}/card", "frequency_hertz"), 1e-6),
                FakeSensor(card / "max_power", (f"{address}/card", "power_limit_watts"), 1e3),
            ]
        cards = (sysfs / f"devices/pci{bus}/{address}" for bus, (address, _, _) in CARDS.items())
        statuses = [write(card / "power/runtime_status", "active") for card in cards]
        links = (sysfs / "class/accel/accel0", sysfs / "class/accel/accel1")
        roots = Roots(sysfs=str(sysfs), commands=str(folder))
        super().__init__(folder, roots, sensors, presence=links, numbered=links, statuses=statuses)


class HlSmiHost(ProgramHost):
    """Two cards whose attributes are missing and whose power hwmon lacks."""

    name = "hl-smi"

    def __init__(self, folder):
        sysfs = copy_tree("gaudi2", folder / "tree")
        for number, (bus, (address, _, _)) in enumerate(CARDS.items()):
            card = sysfs / f"devices/pci{bus}/{address}"
            for file in ("clk_cur_freq_mhz", "max_power", f"hwmon/hwmon{number}/power1_input"):
                (card / file).unlink()
        self.printed, self.shown = {}, {}
        for address, watts, ratio in CARDS.values():
            for domain, metric, text, value in (
                ("card", "power_watts", f"{watts:g} W", watts),
                ("card", "utilization_ratio", f"{ratio * 100:g} %", ratio),
                ("memory", "memory_used_bytes", "672 MiB", 672 * 2.0**20),
                ("memory", "memory_total_bytes", "131072 MiB", 2.0**37),
            ):
                self.printed[f"{address}/{domain}", metric] = text
                self.shown[f"{address}/{domain}", metric] = value
        cards = [sysfs / f"devices/pci{bus}/{address}" for bus, (address, _, _) in CARDS.items()]
        super().__init__(folder, Roots(sysfs=str(sysfs), commands=str(folder / FOLDER)), cards=cards)

    @staticmethod
    def output(texts, order):
        addresses = [address for address, _, _ in CARDS.values()]
        return "".join(
            f"{address}, 01P4-{address}, HL-325L, 1.22.1, {texts[f'{address}/memory', 'memory_total_bytes']}, "
            f"{texts[f'{address}/memory', 'memory_used_bytes']}, {texts[f'{address}/card', 'power_watts']}, 850 W, "
            f"36 C, {texts[f'{address}/card', 'utilization_ratio']}\n"
            for address in (addresses[number] for number in order)
        )


@pytest.mark.system
def test_the_attributes_of_cards_conform(tmp_path):
    assert_conforms(gaudi.discover, CardsHost, tmp_path)


@pytest.mark.system
def test_the_program_conforms(tmp_path, monkeypatch):
    monkeypatch.setattr(gaudi, "SECONDS", 2.0)
    assert_conforms(gaudi.discover, HlSmiHost, tmp_path)
