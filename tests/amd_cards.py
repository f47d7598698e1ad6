"""AMD cards in a simulated tree, with tables `gpu_metrics` in the layout that a C compiler gives their structures."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from trees import hwmon_chip, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_U8, _U16, _U32, _U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
_HEADER = [("structure_size", _U16), ("format_revision", _U8), ("content_revision", _U8)]
_V1_1 = [
    ("temperatures", _U16 * 6),
    ("average_gfx_activity", _U16),
    ("average_umc_activity", _U16),
    ("average_mm_activity", _U16),
    ("socket_power", _U16),
    ("energy_accumulator", _U64),
    ("system_clock_counter", _U64),
    ("average_clocks", _U16 * 7),
    ("current_clocks", _U16 * 7),
    ("throttle_status", _U32),
    ("current_fan_speed", _U16),
    ("pcie_link", _U16 * 2),
    ("padding", _U16),
    ("activity_acc", _U32 * 2),
    ("temperature_hbm", _U16 * 4),
]
_TIMESTAMP = ("firmware_timestamp", _U64)
_V1_3 = [*_V1_1, _TIMESTAMP, ("voltages", _U16 * 3), ("padding1", _U16), ("indep_throttle_status", _U64)]
_MI300 = [
    ("temperatures", _U16 * 3),
    ("socket_power", _U16),
    ("average_gfx_activity", _U16),
    ("average_umc_activity", _U16),
]
_ENERGY = [("energy_accumulator", _U64), ("system_clock_counter", _U64)]
_STATUS = [("throttle_status", _U32), ("gfxclk_lock_status", _U32)]
_LIMITED = [
    ("accumulation_counter", _U32),
    ("prochot", _U32),
    ("ppt", _U32),
    ("socket_thm", _U32),
    ("vr_thm", _U32),
    ("hbm_thm", _U32),
    ("gfxclk_lock_status", _U32),
]
_LINKS = [
    ("links", _U16 * 4),
    ("activity_acc", _U32 * 2),
    ("pcie_bandwidth", _U64 * 2),
    ("pcie_counts", _U64 * 3),
]
_NAK, _XGMI = ("pcie_nak", _U32 * 2), ("xgmi_data", _U64 * 16)
_CLOCKS = [_TIMESTAMP, ("current_clocks", _U16 * 20), ("current_uclk", _U16), ("last", _U16)]


def _partition(counts: int, jpegs: int) -> type[ctypes.Structure]:
    return _structure([("busy", _U32 * 8), ("jpeg", _U16 * jpegs), ("vcn", _U16 * 4), ("counts", _U64 * 8 * counts)])


def _structure(fields) -> type[ctypes.Structure]:
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


def _mi300(energy, partition: type[ctypes.Structure], *status):
    tail = [*_LIMITED, *_LINKS, _NAK, _XGMI, *status, *_CLOCKS, ("xcp", partition * 8), ("recovery", _U32)]
    return [*_MI300, *energy, *tail]


_V2_1 = [
    ("temperature_gfx", _U16),
    ("temperature_soc", _U16),
    ("temperature_core", _U16 * 8),
    ("temperature_l3", _U16 * 2),
    ("average_gfx_activity", _U16),
    ("average_mm_activity", _U16),
    ("system_clock_counter", _U64),
    ("socket_power", _U16),
    ("average_cpu_power", _U16),
    ("average_soc_power", _U16),
    ("gfx_power", _U16),
    ("average_core_power", _U16 * 8),
    ("average_clocks", _U16 * 6),
    ("current_clocks", _U16 * 6),
    ("current_coreclk", _U16 * 8),
    ("current_l3clk", _U16 * 2),
    ("throttle_status", _U32),
    ("fan_pwm", _U16),
    ("padding", _U16 * 3),
]
_V2_2 = [*_V2_1, ("indep_throttle_status", _U64)]
_V2_3 = [*_V2_2, ("average_temperatures", _U16 * 12)]
_V3_0 = [
    ("temperature_gfx", _U16),
    ("temperature_soc", _U16),
    ("temperature_core", _U16 * 16),
    ("temperature_skin", _U16),
    ("average_gfx_activity", _U16),
    ("average_vcn_activity", _U16),
    ("average_ipu_activity", _U16 * 8),
    ("average_core_c0_activity", _U16 * 16),
    ("bandwidths", _U16 * 4),
    ("system_clock_counter", _U64),
    ("socket_power", _U32),
    ("ipu_power", _U16),
    ("apu_power", _U32),
    ("gfx_power", _U32),
    ("dgpu_power", _U32),
    ("all_core_power", _U32),
    ("core_power", _U16 * 16),
    ("sys_power", _U16),
    ("stapm", _U16 * 2),
    ("average_clocks", _U16 * 8),
    ("current_coreclk", _U16 * 16),
    ("maxfreq", _U16 * 2),
    ("throttle_residency", _U32 * 7),
    ("time_filter_alphavalue", _U32),
]
_BANDWIDTH = ("mem_max_bandwidth", _U64)
_XGMI_STATUS = (("xgmi_link_status", _U16 * 8), ("padding", _U16))
STRUCTURES = {
    (1, 1): _V1_1,
    (1, 2): [*_V1_1, _TIMESTAMP],
    (1, 3): _V1_3,
    (1, 4): [*_MI300, ("vcn", _U16 * 4), *_ENERGY, *_STATUS, *_LINKS, _XGMI, *_CLOCKS],
    (1, 5): [*_MI300, ("vcn", _U16 * 4), ("jpeg", _U16 * 32), *_ENERGY, *_STATUS, *_LINKS, _NAK, _XGMI, *_CLOCKS],
    (1, 6): _mi300(_ENERGY, _partition(1, 32)),
    (1, 7): _mi300([_BANDWIDTH, *_ENERGY], _partition(2, 32), *_XGMI_STATUS),
    (1, 8): _mi300([_BANDWIDTH, *_ENERGY], _partition(5, 40), *_XGMI_STATUS),
    (2, 1): _V2_1,
    (2, 2): _V2_2,
    (2, 3): _V2_3,
    (2, 4): [*_V2_3, ("voltages_and_currents", _U16 * 6)],
    (3, 0): _V3_0,
}
"""The fields of every format after its header, in the order of the kernel's kgd_pp_interface.h."""
MI300X, MI300A, MI350X, MI210, RADEON, STRIX = 0x74A1, 0x74A0, 0x75A0, 0x740F, 0x744C, 0x150E
JOULE = 65536


def metrics_table(table_format: tuple[int, int], **fields: int) -> bytes:
    """Return a table with these fields; all others have all bits set, as the driver leaves them."""
    structure = _structure([*_HEADER, *STRUCTURES[table_format]])
    size = ctypes.sizeof(structure)
    table = structure.from_buffer_copy(b"\xff" * size)
    header = {"structure_size": size, "format_revision": table_format[0], "content_revision": table_format[1]}
    for name, value in (header | fields).items():
        setattr(table, name, value)
    return bytes(table)


def pci_card(sysfs: Path, address: str, model: int, values: Mapping[str, object] = {}, driver: str = "amdgpu") -> Path:
    """Add a card with these files, its driver, its awake state and the links of the PCI bus; return its folder."""
    folder = sysfs / f"devices/pci{address[:7]}" / address
    files = {"vendor": "0x1002", "device": f"{model:#06x}", "class": "0x038000", "power/runtime_status": "active"}
    for name, value in (files | dict(values)).items():
        write(folder / name, value)
    target = sysfs / "bus/pci/drivers" / driver
    target.mkdir(parents=True, exist_ok=True)
    (folder / "driver").symlink_to(target)
    link = sysfs / "bus/pci/devices" / address
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder)
    return folder


def ppt(sysfs: Path, address: str, watts: int, index: int = 0, label: str = "") -> Path:
    """Add the card's chip of hwmon, which reads the power of the package; `label` is that of its second voltage."""
    values = {"name": "amdgpu", "power1_input": watts * 1_000_000, "power1_label": "PPT", "power1_cap": 750_000_000}
    labels = {"in1_label": label} if label else {}
    return hwmon_chip(sysfs, index, f"pci{address[:7]}/{address}", values | labels)


def instinct(sysfs: Path, address: str, model: int = MI300X, joules: int = 1000, index: int = 0, **fields: int) -> Path:
    """Add an Instinct card with an energy accumulator, and its chip of hwmon."""
    values = {
        "gpu_busy_percent": 86,
        "mem_busy_percent": 42,
        "mem_info_vram_used": 17179869184,
        "mem_info_vram_total": 206141652992,
        "pp_dpm_sclk": "0: 132Mhz\n1: 2100Mhz *",
        "product_name": "AMD Instinct",
        "unique_id": f"5f3a9c00112233{index:02x}",
    }
    folder = pci_card(sysfs, address, model, values)
    ppt(sysfs, address, 310, index)
    known = {"energy_accumulator": joules * JOULE, "system_clock_counter": 10**12, "socket_power": 310}
    limited = dict.fromkeys(("accumulation_counter", "prochot", "ppt", "socket_thm", "vr_thm", "hbm_thm"), 0)
    (folder / "gpu_metrics").write_bytes(metrics_table((1, 6), **{**known, **limited, **fields}))
    return folder
