import shutil
from dataclasses import replace

import pytest

import fake_sysman
from fake_sysman import FLEX, FORBIDDEN, LOST
from probes import intel_gpu
from probes.conformance import FakeHost, FakeSensor, assert_conforms
from probes.model import Roots
from trees import copy_tree, write
from value_file_hosts import ValueFileHost

CARD = "devices/pci0000:03/0000:03:00.0"
ONES = 0xFFFFFFFFFFFFFFFF
NOT_OF_A_LIBRARY = {"garbage", "hanging reads", "hanging discovery", "renumbering"}
"""Every answer of the library is an integer; a call cannot be ended; this host has one card."""


class XeHost(ValueFileHost):
    """A card of the driver xe that is idle half of the time."""

    def __init__(self, folder):
        sysfs = copy_tree("intel_arc_xe", folder / "tree")
        card = sysfs / CARD
        clock = write(card / "tile0/gt0/freq0/act_freq", 2850)
        sensors = [
            FakeSensor(card / "tile0/gt0/gtidle/idle_residency_ms", None, 1e3, 500),
            FakeSensor(card / "tile0/gt1/gtidle/idle_residency_ms", None, 1e3, 500),
            FakeSensor(clock, ("0000:03:00.0/gt0", "frequency_hertz"), 1e-6),
        ]
        links = (sysfs / "class/drm/card1",)
        status = write(card / "power/runtime_status", "active")
        roots = Roots(sysfs=str(sysfs), libraries=str(folder))
        super().__init__(folder, roots, sensors, presence=links, numbered=links, statuses=[status])


class SysmanHost(FakeHost):
    """A card whose energy and memory Level Zero alone shows."""

    def __init__(self, folder):
        sysfs = copy_tree("intel_arc_xe", folder / "tree")
        shutil.rmtree(sysfs / CARD / "hwmon")
        shutil.rmtree(sysfs / CARD / "tile0")
        self._status = write(sysfs / CARD / "power/runtime_status", "active")
        self._library = fake_sysman.build(folder)
        self._microjoules, self._start = FLEX.energy_uj, 0
        super().__init__(Roots(sysfs=str(sysfs), libraries=str(folder)))
        self._show()

    def _show(self, **changes):
        shown = replace(FLEX, energy_uj=self._microjoules - self._start, busy_us=None)
        fake_sysman.write_state(self._library, [replace(shown, **changes)])

    def truth(self):
        return {
            ("0000:03:00.0/card", "energy_joules"): self._microjoules / 1e6,
            ("0000:03:00.0/memory", "memory_used_bytes"): float(FLEX.memory_bytes[0]),
            ("0000:03:00.0/memory", "memory_total_bytes"): float(FLEX.memory_bytes[1]),
        }

    def advance(self, seconds):
        self._microjoules += round(seconds * 120e6)
        self._show()

    def reset(self):
        self._start = self._microjoules
        self._show()

    def blank(self):
        self._show(energy_uj=ONES, memory_bytes=(ONES, ONES))
        yield "all bits set"

    def refuse(self):
        self._show(error=FORBIDDEN)

    def repair(self):
        self._show()

    def unplug(self):
        self._show(error=LOST)

    def replug(self):
        self.reset()

    def suspend(self):
        write(self._status, "suspended")

    def touched(self):
        """The card would answer each call with numbers, which the check finds."""
        return ()


@pytest.mark.system
def test_the_attributes_of_a_card_conform(tmp_path):
    assert_conforms(intel_gpu.discover, XeHost, tmp_path)


@pytest.mark.system
def test_level_zero_conforms(tmp_path):
    assert_conforms(intel_gpu.discover, SysmanHost, tmp_path, not_exercised=NOT_OF_A_LIBRARY)
