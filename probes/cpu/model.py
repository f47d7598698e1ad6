"""Identifies the processor: vendor, brand, numbers, feature flags and microarchitecture.

Sources of the names: for Intel the kernel's arch/x86/include/asm/intel-family.h and, if one model number covers several
designs, the steppings in arch/x86/kernel/cpu; for AMD the Zen ranges of arch/x86/kernel/cpu/amd.c and AMD's revision
guides for the EPYC generations; for Arm the kernel's arch/arm64/include/asm/cputype.h.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.cpu.library import LibraryAnswer

_INTEL: Mapping[str, tuple[int, ...]] = {
    "Nehalem": (0x1A, 0x1E, 0x1F, 0x2E),
    "Westmere": (0x25, 0x2C, 0x2F),
    "Sandy Bridge": (0x2A,),
    "Sandy Bridge EP": (0x2D,),
    "Ivy Bridge": (0x3A,),
    "Ivy Bridge EP": (0x3E,),
    "Haswell": (0x3C, 0x45, 0x46),
    "Haswell EP": (0x3F,),
    "Broadwell": (0x3D, 0x47),
    "Broadwell EP": (0x4F,),
    "Broadwell D": (0x56,),
    "Skylake": (0x4E, 0x5E),
    "Skylake SP": (0x55,),
    "Kaby Lake": (0x8E, 0x9E),
    "Cannon Lake": (0x66,),
    "Comet Lake": (0xA5, 0xA6),
    "Ice Lake": (0x7D, 0x7E),
    "Ice Lake SP": (0x6A,),
    "Ice Lake D": (0x6C,),
    "Rocket Lake": (0xA7,),
    "Tiger Lake": (0x8C, 0x8D),
    "Alder Lake": (0x97, 0x9A),
    "Alder Lake N": (0xBE,),
    "Raptor Lake": (0xB7, 0xBA, 0xBF),
    "Bartlett Lake": (0xD7,),
    "Meteor Lake": (0xAA, 0xAC),
    "Arrow Lake": (0xB5, 0xC5, 0xC6),
    "Lunar Lake": (0xBD,),
    "Panther Lake": (0xCC,),
    "Sapphire Rapids": (0x8F,),
    "Emerald Rapids": (0xCF,),
    "Granite Rapids": (0xAD,),
    "Granite Rapids D": (0xAE,),
    "Sierra Forest": (0xAF,),
    "Grand Ridge": (0xB6,),
    "Clearwater Forest": (0xDD,),
}
"""Model numbers of Intel's family 6."""
_INTEL_FAMILY = 6
_INTEL_MODELS = {model: name for name, models in _INTEL.items() for model in models}
_STEPPINGS = (
    (0x55, 5, "Cascade Lake"),
    (0x55, 10, "Cooper Lake"),
    (0x9E, 10, "Coffee Lake"),
)
"""(model, first stepping, name): later designs with the model number of an earlier one."""
_AMD = (
    (0x17, 0x00, 0x2F, "Zen"),
    (0x17, 0x30, 0x3F, "Zen 2 (Rome)"),
    (0x17, 0x50, 0x5F, "Zen"),
    (0x17, 0x40, 0xAF, "Zen 2"),
    (0x18, 0x00, 0x0F, "Zen"),
    (0x19, 0x00, 0x07, "Zen 3 (Milan)"),
    (0x19, 0x10, 0x17, "Zen 4 (Genoa)"),
    (0x19, 0xA0, 0xAF, "Zen 4c (Bergamo)"),
    (0x19, 0x18, 0x1F, "Zen 4"),
    (0x19, 0x60, 0x9F, "Zen 4"),
    (0x19, 0x00, 0x5F, "Zen 3"),
    (0x1A, 0x00, 0x07, "Zen 5 (Turin)"),
    (0x1A, 0x10, 0x1F, "Zen 5c (Turin Dense)"),
    (0x1A, 0x00, 0x2F, "Zen 5"),
    (0x1A, 0x40, 0x4F, "Zen 5"),
    (0x1A, 0x60, 0x7F, "Zen 5"),
)
"""(family, first model, last model, name); the first matching range applies. 0x18 is Hygon's."""
_BRANDS = (
    ("Zen", "EPYC", "Zen (Naples)"),
    ("Zen 2 (Rome)", "Threadripper", "Zen 2"),
    ("Zen 4c (Bergamo)", "EPYC 8", "Zen 4c (Siena)"),
)
"""(name by number, a part of the brand, name): products that share a model number."""
_ARM = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2",  # NVIDIA Grace reports Arm's own numbers
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD83): "Neoverse V3AE",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse N3",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng 920",
    (0x4E, 0x004): "Carmel",
    (0x4E, 0x010): "Olympus",
    (0x6D, 0xD49): "Neoverse N2",  # Microsoft Cobalt 100
    (0xC0, 0xAC3): "AmpereOne",
    (0xC0, 0xAC4): "AmpereOne",
}
"""(implementer, part) of the main identification register."""
_IMPLEMENTERS = {0x41: "Arm", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA", 0x6D: "Microsoft", 0xC0: "Ampere"}


@dataclass(frozen=True, slots=True)
class CpuModel:
    """The identity of the processor as it reports it; empty or None if it does not.

    On Arm `family` is the implementer, `model` the part and `stepping` the revision of the identification register.
    `virtual` is the hypervisor's own flag, which only x86 guests see.
    """

    vendor: str = ""
    brand: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    flags: tuple[str, ...] = ()
    microarchitecture: str = ""
    architecture: str = ""
    virtual: bool = False


def completed(known: CpuModel, answer: LibraryAnswer) -> CpuModel:
    """Fill the fields that `known` lacks from py-cpuinfo's answer, and add the flags that only CPUID reports."""
    return replace(
        known,
        vendor=known.vendor or answer.vendor,
        brand=known.brand or _spaced(answer.brand),
        architecture=known.architecture or answer.architecture,
        flags=known.flags + tuple(flag for flag in answer.flags if flag not in known.flags),
    )


def parse_cpuinfo(cpuinfo: str) -> CpuModel:
    """Return the first processor in /proc/cpuinfo's text, and on Arm every kind of core."""
    if cores := [fields for block in cpuinfo.split("\n\n") if "CPU part" in (fields := _fields(block))]:
        return _arm(cores)
    fields = _fields(cpuinfo.strip().partition("\n\n")[0])
    flags = tuple(fields.get("flags", "").split())
    vendor, brand = fields.get("vendor_id", ""), _spaced(fields.get("model name", ""))
    family, model, stepping = (_number(fields.get(key)) for key in ("cpu family", "model", "stepping"))
    return CpuModel(
        vendor,
        brand,
        family,
        model,
        stepping,
        flags,
        microarchitecture(vendor, family, model, stepping, brand),
        ("x86_64" if "lm" in flags else "i686") if flags else "",
        "hypervisor" in flags,
    )


def microarchitecture(
    vendor: str, family: int | None, model: int | None, stepping: int | None = None, brand: str = ""
) -> str:
    """Return the microarchitecture of an x86 processor, empty if its numbers are unknown."""
    if family is None or model is None:
        return ""
    if vendor == "GenuineIntel":
        name = _INTEL_MODELS.get(model, "") if family == _INTEL_FAMILY else ""
        for of_model, first, later in _STEPPINGS:
            if model == of_model and (stepping or 0) >= first and name:
                name = later
        return name
    name = next((name for of, first, last, name in _AMD if family == of and first <= model <= last), "")
    return next((other for of, part, other in _BRANDS if name == of and part in brand), name)


def _arm(cores: Sequence[Mapping[str, str]]) -> CpuModel:
    """Return the first core and the names of all kinds of cores."""
    kinds = [(_number(fields.get("CPU implementer")) or 0, _number(fields["CPU part"]) or 0) for fields in cores]
    first, (implementer, part) = cores[0], kinds[0]
    return CpuModel(
        _IMPLEMENTERS.get(implementer, ""),
        _spaced(first.get("model name", "")),
        implementer,
        part,
        _number(first.get("CPU revision")),
        tuple(first.get("Features", "").split()),
        " + ".join(_ARM[kind] for kind in sorted(set(kinds)) if kind in _ARM),
        "aarch64" if first.get("CPU architecture") in {"8", "9", "AArch64"} else "arm",
    )


def _fields(block: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}


def _number(text: str | None) -> int | None:
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None


def _spaced(text: str) -> str:
    return one_line(re.sub(r"\s+", " ", text))
