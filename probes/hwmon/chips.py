"""Facts about hwmon chips that their attribute files omit: pairs of voltage and current, and the measured part.

Sources: the kernel's Documentation/hwmon and driver sources, or a driver maintained outside the kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

# Chips that measure a rail: (index of inN, index of currN). Shunt voltages and auxiliary inputs are left out.
_MONITORS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "ina3221": ((1, 1), (2, 2), (3, 3)),
    **dict.fromkeys(("ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina237", "ina238"), ((1, 1),)),
    **dict.fromkeys(("ina233", "ina260", "ltc2945", "ltc4260", "ltc4261", "ltc4282"), ((1, 1),)),
    **dict.fromkeys(("adm1270", "adm1272", "adm1273", "adm1275", "adm1276", "adm1278", "adm1293"), ((1, 1),)),
    "ltc2947": ((0, 1),),
    "ltc2992": ((0, 1), (2, 2)),
    "max20730": ((2, 1),),
    "max20751": ((2, 1),),
}
# Regulators on PMBus: the labels of the pages (vin, iin, vout1, iout1) pair; without labels, equal indices do.
_REGULATORS = ("pmbus", "tps", "ir35221", "xdpe12284", "ucd90", "mp2975")

# Regulators have a pin as well, which is not the wall, so power supplies are listed by name.
_POWER_SUPPLIES = frozenset(
    {"pmbus", "dps460", "dps650ab", "dps800", "dps920ab", "pfe1100", "pfe3000", "ipsps1", "cffps", "cffps1", "cffps2"}
    | {"ibm_cffps", "ym2151e", "yh5151e", "acbel_fsg032", "bpa_rs600", "bpd_rs600", "crps185", "intel_crps185"}
    | {"corsairpsu"}
)
_KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("amdgpu", "radeon", "nouveau", "i915", "xe"), Kind.GPU),
    "amdxdna": Kind.NPU,
    **dict.fromkeys(("xocl", "xclmgmt", "dfl_fme_power"), Kind.FPGA),
    **dict.fromkeys(("habanalabs", "tenstorrent", "grayskull", "wormhole", "blackhole"), Kind.ACCELERATOR),
    **dict.fromkeys(("amd_energy", "zenergy", "amd_hsmp_hwmon", "zenpower", "fam15h_power"), Kind.CPU),
    **dict.fromkeys(("apm_xgene", "altra_hwmon"), Kind.CPU),
    **dict.fromkeys(_POWER_SUPPLIES, Kind.PSU),
}
_MI300A = 0x74A0
_APUS = frozenset(
    {0x15DD, 0x15D8, 0x1636, 0x164C, 0x1638, 0x164D, 0x1681, 0x163F, 0x1435, 0x1506, 0x15BF, 0x15C8, 0x164E, 0x13C0}
    | {0x150E, 0x1586, 0x1114, 0x1900, 0x1901}
)
"""PCI device numbers: Raven, Picasso, Renoir, Lucienne, Cezanne, Rembrandt, Van Gogh, Mendocino, Phoenix, Raphael,
Granite Ridge, Strix, Strix Halo, Krackan and Hawk Point (the driver's table of devices, and pci.ids)."""
_APU_METRICS = frozenset({2, 3})
"""Formats of the `gpu_metrics` table that only APUs use (the driver's kgd_pp_interface.h)."""
_VENDORS = {0x1DA3: Kind.ACCELERATOR, 0x1E52: Kind.ACCELERATOR, 0x10EE: Kind.FPGA}

# Labels of settings and of quantities other than consumption: TX_power and RX_power are light in an optical module.
_NEVER = frozenset({"nc", "cs_target_power", "tx_power", "rx_power"})
_IGNORED: Mapping[str, frozenset[str]] = {
    "amdgpu": frozenset({"fastppt"}),  # the power of slowPPT again, over a shorter time
    "spbm": frozenset({"pl1", "pl2", "syspl1", "syspl2"}),  # limits, or the limiters' view of soc_pkg and sys_total
}
_RAIL_MONITORS = ("ina3221", "ina3221x")
_JETSON_MONITORS = frozenset({*_RAIL_MONITORS, "ina238"})
_INPUT_OF_THOR = "input_of_thor"
# Chips with one sensor, of any label.
_ONLY_DOMAIN: Mapping[str, str] = {
    **dict.fromkeys(("amdgpu", "radeon", "grayskull", "wormhole", "blackhole"), "package"),
    **dict.fromkeys(("i915", "nouveau"), "card"),
    "dfl_fme_power": "fme",
    _INPUT_OF_THOR: "dc_input",
}
_DOMAINS: Mapping[tuple[str, str], str] = {
    ("xe", "pkg"): "package",
    ("spbm", "soc_pkg"): "package",
    ("spbm", "pkg"): "package",
    **dict.fromkeys(product(_RAIL_MONITORS, ("vdd_in", "pom_5v_in")), "module"),
    ("zenpower", "svi2_p_core"): "core",
    ("zenpower", "svi2_p_soc"): "soc",
}
_QUANTITY = re.compile(r"^power-|[-_](?:power|pwr|energy|nrg|temperature|temp|tmp)$")
# The domains that cover their whole device, widest first.
_WHOLE = ("wall", "card", "board", "module", "total", "pin")
_SPARK = ("cpu_gpu", "package", "sys_total", "dc_input")
_SPARK_DEPTH = {
    "dc_input": 4,
    "sys_total": 3,
    "package": 2,
    "cpu_gpu": 1,
    "cpu_p": 0,
    "cpu_e": 0,
    "gpu": 0,
    "gpu_out": 0,
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A voltage and a current whose product is the power of one rail, by their attribute indices."""

    voltage: int
    current: int
    label: str


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a power or energy sensor.

    `device` and `kind` identify a device other than the chip's own (`package-0`); empty for its own. `outer` are the
    (device, domain) pairs of other devices that contain it.
    """

    domain: str
    device: str = ""
    kind: Kind = Kind.BOARD
    outer: tuple[tuple[str, str], ...] = ()


def pairs(chip: str, voltages: Mapping[int, str], currents: Mapping[int, str]) -> tuple[Pair, ...]:
    """Pair the voltages and currents (index -> label) of a chip without a power attribute; () if no rule is known.

    The hwmon ABI numbers inN and currN independently, so each pairing is a fact about one driver.
    """
    name = chip.lower()
    if name in _MONITORS:
        known = [(v, c) for v, c in _MONITORS[name] if v in voltages and c in currents]
        return tuple(Pair(v, c, voltages[v] or currents[c]) for v, c in known)
    if not name.startswith(_REGULATORS):
        return ()
    if any(voltages.values()) and any(currents.values()):
        by_side = {label[1:]: index for index, label in currents.items() if label.startswith("i")}
        sides = [(index, label[1:]) for index, label in sorted(voltages.items()) if label.startswith("v")]
        return tuple(Pair(index, by_side[side], f"p{side}") for index, side in sides if side in by_side)
    last = 1 if name == "mp2975" else max(voltages, default=0)  # its further currents are phases of the first
    return tuple(Pair(index, index, "") for index in sorted(voltages) if index in currents and index <= last)


def kind_of(chip: str, driver: str, vendor: int, pci_class: int) -> Kind:
    """Return the kind of a bus device from its chip, its driver, and its PCI vendor and class (0 for other buses)."""
    name = _normal(chip)
    if name.startswith("hl_"):
        return Kind.ACCELERATOR
    if name.endswith("bmc_hwmon"):
        return Kind.FPGA
    by_class = {0x03: Kind.GPU, 0x12: Kind.ACCELERATOR}.get(pci_class >> 16, Kind.BOARD)
    return _KINDS.get(name) or _KINDS.get(driver) or _VENDORS.get(vendor) or by_class


def is_ignored(chip: str, label: str) -> bool:
    """Return whether a power or energy attribute with this label is a setting, a limit, or a duplicate."""
    name, text = chip.lower(), label.lower()
    budget = name == "spbm" and text.startswith("budget_")
    return text in _NEVER or text in _IGNORED.get(name, ()) or budget


def is_jetson(chip: str) -> bool:
    """Return whether a chip is one of those that measure the rails and the input of a Jetson."""
    return chip in _JETSON_MONITORS


def full_name(
    chip: str, first_voltage_label: str, pci_device: int | None, metrics_format: int | None = None, model: str = ""
) -> str:
    """Return a name that identifies the measured device; amdgpu drives both cards and APUs.

    `model` is the name of the machine in its device tree. The one INA238 of a Jetson Thor measures the input of the
    whole machine.

    The power of an APU covers the whole socket, including its processor. Any of three facts identifies an APU: the
    northbridge voltage `vddnb` (the driver's amdgpu_pm.c), which some kernels omit; the format of its metrics table;
    its PCI device number. The MI300A has a card's table and no such voltage.
    """
    if chip == "ina238" and re.search(r"\bJetson\b.*\bThor\b", model):
        return _INPUT_OF_THOR
    if chip != "amdgpu":
        return chip
    if pci_device == _MI300A:
        return "mi300a"
    is_apu = first_voltage_label == "vddnb" or metrics_format in _APU_METRICS or pci_device in _APUS
    return "amdgpu_apu" if is_apu else chip


def averages_briefly(chip: str) -> bool:
    """Return whether a chip without a stated averaging time averages over at most one second: amdgpu does."""
    return chip == "amdgpu"


def plain_domain(chip: str, label: str, fallback: str) -> str:
    """Return the domain of a label: lower case, `-` for blanks, without the word for the quantity."""
    text = label.lower()
    if (chip, text) in _DOMAINS:
        return _DOMAINS[chip, text]
    return _QUANTITY.sub("", re.sub(r"\s+", "-", text.strip())).removeprefix("power") or fallback


def place(chip: str, label: str, fallback: str, sockets: Sequence[int]) -> Place:
    """Return the place of the power or energy sensor `label` of a chip; `fallback` is its domain without a label.

    `sockets` are the package of each core for chips that count cores, else the one package of the chip.
    """
    name = _normal(chip)
    if name in _PLACES:
        return _PLACES[name](label, sockets)
    if name.startswith("i915_gt"):
        return Place(name.removeprefix("i915_"))
    if name in _ONLY_DOMAIN:
        return Place(_ONLY_DOMAIN[name])
    if name.startswith("hl_") or (name.endswith(("_user", "_mgmt")) and label.lower() in {"power", "total power"}):
        return Place("card")
    if name in _POWER_SUPPLIES and label.lower() == "pin":
        return Place("wall")
    core = re.fullmatch(r"Core Energy (\d+)", label)
    return Place(f"core-{core[1]}" if core else plain_domain(name, label, fallback))


def outer_domains(chip: str, domain: str, present: Collection[str]) -> tuple[str, ...]:
    """Return the domains of the same device, among those `present`, whose energy includes that of `domain`."""
    if chip == "spbm":  # rails of unknown place are still parts of the system
        return tuple(outer for outer in _SPARK[_SPARK_DEPTH.get(domain, 2) :] if outer in present)
    if domain.startswith("core-") and "cpu" in present:
        return ("cpu",)
    widest = next((whole for whole in _WHOLE if whole in present), domain)
    return () if widest == domain else (widest,)


def even_sockets(labels: Collection[str]) -> tuple[int, ...]:
    """Assign the cores of amd_energy's labels to its sockets in order, for a kernel without topology files."""
    cores = sum(label.startswith("Ecore") for label in labels)
    sockets = sum(label.startswith("Esocket") for label in labels)
    return tuple(core * max(sockets, 1) // cores for core in range(cores))


def _normal(chip: str) -> str:
    return chip.lower().replace("-", "_")


def _package(socket: int) -> tuple[str, str]:
    return (f"package-{socket}", "package")


def _whole_package(_: str, sockets: Sequence[int]) -> Place:
    return Place("package", f"package-{sockets[0]}", Kind.CPU)


def _whole_socket(_: str, sockets: Sequence[int]) -> Place:
    """RAPL's package also covers an APU; it is unknown whether it covers the accelerator dies of an MI300A."""
    return Place("socket", outer=(_package(sockets[0]),))


def _part_of_package(chip: str) -> Callable[[str, Sequence[int]], Place]:
    def place_part(label: str, sockets: Sequence[int]) -> Place:
        return Place(plain_domain(chip, label, chip), outer=(_package(sockets[0]),))

    return place_part


def _counted_cores(label: str, sockets: Sequence[int]) -> Place:
    """Esocket1 is a whole package, Ecore003 one core of its package (amd_energy and its fork zenergy)."""
    match = re.fullmatch(r"E(core|socket)(\d+)", label)
    if match is None:
        return Place(plain_domain("amd_energy", label, "energy"))
    if match[1] == "socket":
        return _whole_package("", (int(match[2]),))
    number = int(match[2])
    package = _package(sockets[number] if number < len(sockets) else 0)
    return Place(f"core-{match[2]}", package[0], Kind.CPU, (package,))


def _meter(label: str, _: Sequence[int]) -> Place:
    """An ACPI meter without OEM information covers the whole node; Grace labels each meter.

    Module contains Grace, GPU and HBM; Grace contains CPU, SysIO and its share of LPDDR.
    """
    if not label:
        return Place("wall")
    match = re.fullmatch(r"(Module|Grace|CPU|SysIO) Power Socket (\d+)", label)
    if match is None:
        return Place(plain_domain("power_meter", label, "wall"))
    part, module, package = match[1], (f"module-{match[2]}", "module"), _package(int(match[2]))
    if part == "Module":
        return Place("module", module[0], Kind.BOARD)
    if part == "Grace":
        return Place("package", package[0], Kind.CPU, (module,))
    return Place(part.lower(), package[0], Kind.CPU, (package, module))


_PLACES: Mapping[str, Callable[[str, Sequence[int]], Place]] = {
    "power_meter": _meter,
    "amd_energy": _counted_cores,
    "zenergy": _counted_cores,
    "amd_hsmp_hwmon": _whole_package,
    "fam15h_power": _whole_package,
    "zenpower": _part_of_package("zenpower"),
    "amdxdna": _part_of_package("amdxdna"),
    "amdgpu_apu": _whole_socket,
    "mi300a": lambda *_: Place("socket"),
}
