"""Builds machines for the table of topologies: their sensors and the expected total.

A machine's sensors come from the probes' own discovery, on a tree of /sys and a fake driver, if Inferometer has a probe
of that family; `beside` are channels of other families.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import fake_nvml
from amd_cards import MI350X, RADEON, instinct, pci_card, ppt
from fake_nvml import A100, A100_MIG, GB200, H100, Gpu
from probes.model import Channel, Device, Kind, Roots
from probes.registry import discover
from store.records import Layout
from trees import FIXTURES, hwmon_chip, powercap_zone, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.energy.counted_sensors import Boundary
    from probes.registry import Discovery


@dataclass(frozen=True, slots=True, repr=False)
class Topology:
    """One machine. `counted` names its sensors in the total as device/domain, separated by
    blanks.

    `covers` has the extent of a sensor for the tests, as places (`package-0`, `package-0.core`, "" for everything), if
    its name does not show it; `places` has the place of a device.
    """

    name: str
    counted: str
    boundary: Boundary
    not_covered: tuple[str, ...]
    trees: tuple[str, ...] = ()
    build: Callable[[Path], object] | None = None
    gpus: tuple[Gpu, ...] = ()
    proc: str = ""
    beside: tuple[Channel, ...] = ()
    covers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def added(self) -> frozenset[str]:
        """The sensors in the total."""
        return frozenset(self.counted.split())

    def __repr__(self) -> str:
        return self.name

    def channels(self, folder: Path) -> tuple[Channel, ...]:
        """Build the machine in an empty folder and return the channels that its discovery finds."""
        return (*self._discovered(folder).channels, *self.beside)

    def layouts(self, folder: Path) -> tuple[Layout, ...]:
        """Build the machine in an empty folder and return the layout of each probe that its discovery finds."""
        probes = [(probe.name, probe.channels) for probe in self._discovered(folder).probes]
        beside = [("beside", self.beside)] if self.beside else []
        return tuple(Layout(number, *each) for number, each in enumerate((*probes, *beside), 1))

    def _discovered(self, folder: Path) -> Discovery:
        sysfs, library = folder / "sys", folder / "no-library"
        sysfs.mkdir()
        for tree in self.trees:
            shutil.copytree(FIXTURES / "trees" / tree / "sys", sysfs, symlinks=True, dirs_exist_ok=True)
        if self.build:
            self.build(sysfs)
        if self.gpus:
            library = fake_nvml.build(folder)
            fake_nvml.write_state(library, self.gpus)
        procfs = FIXTURES / "proc" / self.proc if self.proc else folder / "proc"
        found = discover(Roots(str(sysfs), str(procfs), str(library)))
        found.close()
        return found


def _socket(sysfs: Path, number: int, *domains: str) -> None:
    powercap_zone(sysfs, f"intel-rapl:{number}", f"package-{number}", 5_000_000)
    for position, domain in enumerate(domains):
        powercap_zone(sysfs, f"intel-rapl:{number}:{position}", domain, 1_000_000)


def one_socket(sysfs: Path) -> None:
    _socket(sysfs, 0, "core", "uncore", "dram")


def two_sockets(sysfs: Path) -> None:
    for number in (0, 1):
        _socket(sysfs, number, "dram")


def client(sysfs: Path) -> None:
    _socket(sysfs, 0, "core", "uncore")
    powercap_zone(sysfs, "intel-rapl-mmio:0", "package-0", 5_000_000)


def _meter(sysfs: Path, number: int, label: str = "") -> None:
    known = {"power1_oem_info": label} if label else {}
    values = {"name": "power_meter", "power1_average": 400_000_000, "power1_average_interval": 1000}
    hwmon_chip(sysfs, 10 + number, f"LNXSYSTM:00/ACPI000D:0{number}", values | known)


def wall_metered(sysfs: Path) -> None:
    two_sockets(sysfs)
    _meter(sysfs, 0)


def doubly_wall_metered(sysfs: Path) -> None:
    wall_metered(sysfs)
    _meter(sysfs, 1)


def supplies(sysfs: Path) -> None:
    two_sockets(sysfs)
    for number in (8, 9):
        labels = {"power1_input": 210_000_000, "power1_label": "pin", "power2_input": 190_000_000}
        hwmon_chip(sysfs, number, f"i2c-7/7-005{number}", {"name": "pmbus", "power2_label": "pout1"} | labels)


def card_without_driver(sysfs: Path) -> None:
    two_sockets(sysfs)
    for name, value in (("class", "0x120000"), ("vendor", "0x1e52"), ("device", "0x401e")):
        write(sysfs / "bus/pci/devices/0000:c1:00.0" / name, value)


def _near(sysfs: Path, address: str, cpu: int, package: int) -> None:
    """Put a PCI device near a processor."""
    write(sysfs / "bus/pci/devices" / address / "local_cpulist", f"{cpu}-{cpu + 71}")
    write(sysfs / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id", package)


def blackwell_tray(sysfs: Path) -> None:
    """Two boards, each of a Grace with two GPUs: the kernel's meters of Grace alone, the GPUs' report of the board."""
    for number in (0, 1):
        _meter(sysfs, number, f"Grace Power Socket {number}")
    for gpu in BLACKWELLS:
        number = int(gpu.serial or 0) - 1
        _near(sysfs, gpu.bus_id[4:].lower(), 72 * number, number)


def hopper_in_its_socket(sysfs: Path) -> None:
    """Put the GPU of a Grace Hopper near its Grace."""
    _near(sysfs, HOPPER.bus_id[4:].lower(), 0, 0)


def psys_of_each_socket(sysfs: Path) -> None:
    """Add the second name under which TPMI shows the one platform."""
    powercap_zone(sysfs, "intel-rapl:7", "psys-1", 6_000_000)


def ampere(sysfs: Path) -> None:
    values = {"name": "apm_xgene", "power1_input": 16_280_000, "power1_label": "CPU power"}
    more = {"power2_input": 31_900_000, "power2_label": "IO power"}
    hwmon_chip(sysfs, 0, "platform/APMC0D29:00", values | more)


def ampere_by_two_drivers(sysfs: Path) -> None:
    ampere(sysfs)
    values = {"name": "altra_hwmon", "power1_input": 16_280_000, "power1_label": "CPU power"}
    more = {"energy1_input": 5_000_000, "energy1_label": "Core Energy 000"}
    hwmon_chip(sysfs, 1, "platform/altra_hwmon.0", values | more)


def apu_without_rapl(sysfs: Path) -> None:
    values = {"name": "amdgpu", "power1_input": 17_000_000, "power1_label": "PPT", "in1_label": "vddnb"}
    hwmon_chip(sysfs, 0, "pci0000:00/0000:00:08.1/0000:c4:00.0", values, "amdgpu")


def apu_with_card(sysfs: Path) -> None:
    """Add a Radeon card to a machine."""
    pci_card(sysfs, "0000:03:00.0", RADEON)
    ppt(sysfs, "0000:03:00.0", 44, index=7)


def partitioned_instinct(sysfs: Path) -> None:
    """Two sockets and a card split into eight partitions, each with a DRM device of its own."""
    two_sockets(sysfs)
    folder = instinct(sysfs, "0000:05:00.0")
    for number in range(8):
        card = (folder if not number else sysfs / f"devices/platform/amdgpu_xcp_{number}") / f"drm/card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to("../..")


def mi350_baseboard(sysfs: Path) -> None:
    """Two sockets and two cards on a baseboard, whose power both show."""
    two_sockets(sysfs)
    for index, address in enumerate(("0000:05:00.0", "0000:26:00.0")):
        write(instinct(sysfs, address, MI350X, index=index) / "board/node_power", 1400)


def mi300a(sysfs: Path) -> None:
    powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000)
    values = {"name": "amdgpu", "power1_input": 240_000_000, "power1_label": "PPT"}
    hwmon_chip(sysfs, 0, "pci0000:00/0000:01:00.0", values, "amdgpu")
    write(sysfs / "devices/pci0000:00/0000:01:00.0/device", "0x74a0")


def _channel(device: str, kind: Kind, domain: str, *within: tuple[str, str], metric: str = "power_watts") -> Channel:
    return Channel(Device(device, kind), domain, metric, contained_in=within)


CARD, OTHER = replace(H100, uuid="GPU-a"), replace(A100, uuid="GPU-b")
SPLIT = replace(A100_MIG, uuid="GPU-mig")
HOPPER = replace(H100, uuid="GPU-hopper", name="NVIDIA GH200 480GB", bus_id="00000009:01:00.0", pci_model=0x2342)
REPORTING_HOPPER = replace(HOPPER, module_instant_watts=402.0)
SPARK = replace(HOPPER, uuid="GPU-spark", name="NVIDIA GB10", energy_joules=None)
ORIN = replace(SPARK, uuid="GPU-orin", name="Orin (nvgpu)")
BLACKWELLS = tuple(
    replace(
        GB200[number % 2], uuid=f"GPU-{number}", serial="12"[number // 2], bus_id=f"0000000{number // 2}:{bus}:00.0"
    )
    for number, bus in enumerate(("29", "3f", "29", "3f"))
)
BMC = _channel("bmc", Kind.BOARD, "wall")
PLUG = _channel("meter-desk", Kind.HOST, "wall")
FEEDS = tuple(
    Channel(Device(f"meter-{name}", Kind.HOST, "", (("meter", "apc"), ("supplies", "2"))), "feed", "power_watts")
    for name in ("left", "right")
)
HGX = (BMC, _channel("bmc", Kind.BOARD, "hgx", ("bmc", "wall")))
PMU = tuple(
    _channel(f"package-{number}", Kind.CPU, domain, *within, metric="energy_joules")
    for number in (0, 1)
    for domain, within in (
        ("package", ()),
        ("core", ((f"package-{number}", "package"),)),
        ("dram", ()),
    )
)
ASCEND = (
    _channel("0000:01:00.0", Kind.NPU, "card"),
    _channel("0000:01:00.0", Kind.NPU, "chip", ("0000:01:00.0", "card"), metric="utilization_ratio"),
    _channel("0000:02:00.0", Kind.NPU, "chip", ("0000:01:00.0", "card"), metric="utilization_ratio"),
)
CRAY_COVERS = {
    "pm_counters/cpu": ("package-0", "package-1"),
    "pm_counters/cpu-0": ("package-0",),
    "pm_counters/memory": ("memory",),
    **{f"pm_counters/accel-{number}": ("GPU-a" if number == 0 else f"accel-{number}",) for number in range(4)},
}
SPARK_COVERS = {
    "sys_total": ("",),
    "package": ("soc",),
    "cpu_gpu": ("soc.0",),
    "cpu_p": ("soc.0.p",),
    "gpu_out": ("soc.0.g",),
}
GRACE_COVERS = {
    "module-0/module": ("module-0",),
    "GPU-hopper/module": ("module-0",),
    "package-0/package": ("module-0.grace",),
}
GRACE_COVERS |= {"package-0/cpu": ("module-0.grace.cpu",), "package-0/sysio": ("module-0.grace.io",)}
