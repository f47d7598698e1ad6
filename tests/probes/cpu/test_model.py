import pytest

from probes.cpu.library import LibraryAnswer
from probes.cpu.model import CpuModel, completed, microarchitecture, parse_cpuinfo
from trees import FIXTURES

PROC = FIXTURES / "proc"


def text_of(machine: str) -> str:
    return (PROC / machine / "cpuinfo").read_text()


def test_an_x86_text_states_vendor_brand_numbers_flags_and_virtualization():
    assert parse_cpuinfo(text_of("xeon_guest")) == CpuModel(
        vendor="GenuineIntel",
        brand="Intel(R) Xeon(R) Processor",
        family=6,
        model=207,
        stepping=2,
        flags=("fpu", "tsc", "sse", "sse2", "ht", "lm", "avx2", "avx512f", "avx512_bf16", "hypervisor"),
        microarchitecture="Emerald Rapids",
        architecture="x86_64",
        virtual=True,
    )


def test_a_machine_without_the_hypervisor_flag_is_not_a_guest():
    cpu = parse_cpuinfo(text_of("epyc_two_packages"))
    assert (cpu.microarchitecture, cpu.virtual) == ("Zen 4 (Genoa)", False)


def test_an_arm_text_states_implementer_part_revision_and_features():
    assert parse_cpuinfo(text_of("altra")) == CpuModel(
        vendor="Arm",
        family=0x41,
        model=0xD0C,
        stepping=1,
        flags=("fp", "asimd", "evtstrm", "aes", "crc32", "atomics", "asimddp"),
        microarchitecture="Neoverse N1",
        architecture="aarch64",
    )


def test_every_kind_of_core_of_an_arm_processor_is_named():
    assert parse_cpuinfo(text_of("spark")).microarchitecture == "Cortex-X925 + Cortex-A725"


def test_an_unknown_arm_core_has_no_microarchitecture():
    cpu = parse_cpuinfo("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xfff\n")
    assert (cpu.model, cpu.microarchitecture, cpu.architecture) == (0xFFF, "", "arm")


@pytest.mark.parametrize(
    "text", ["", "processor\t: 0\nisa\t: rv64imafdc\n", "vendor_id : IBM/S390\n# processors : 2\n"]
)
def test_a_text_of_another_architecture_has_no_numbers(text):
    cpu = parse_cpuinfo(text)
    assert (cpu.family, cpu.model, cpu.microarchitecture, cpu.architecture) == (None, None, "", "")


def test_an_invalid_number_is_left_out():
    assert parse_cpuinfo("vendor_id : GenuineIntel\ncpu family : 6\nmodel : unknown\nflags : fpu\n") == CpuModel(
        vendor="GenuineIntel", family=6, flags=("fpu",), architecture="i686"
    )


@pytest.mark.parametrize(
    ("model", "stepping", "name"),
    [
        (0x2A, 7, "Sandy Bridge"),
        (0x2D, 7, "Sandy Bridge EP"),
        (0x3E, 4, "Ivy Bridge EP"),
        (0x3F, 2, "Haswell EP"),
        (0x4F, 1, "Broadwell EP"),
        (0x55, 4, "Skylake SP"),
        (0x55, 7, "Cascade Lake"),
        (0x55, 11, "Cooper Lake"),
        (0x9E, 9, "Kaby Lake"),
        (0x9E, 13, "Coffee Lake"),
        (0x6A, 6, "Ice Lake SP"),
        (0x6C, 1, "Ice Lake D"),
        (0x8F, 8, "Sapphire Rapids"),
        (0xCF, 2, "Emerald Rapids"),
        (0xAD, 1, "Granite Rapids"),
        (0xAF, 3, "Sierra Forest"),
        (0x97, 2, "Alder Lake"),
        (0xB7, 1, "Raptor Lake"),
        (0xAA, 4, "Meteor Lake"),
        (0xBD, 1, "Lunar Lake"),
        (0xC6, 2, "Arrow Lake"),
        (0x55, None, "Skylake SP"),
        (0xFE, 1, ""),
    ],
)
def test_an_intel_model_number_and_stepping_identify_the_microarchitecture(model, stepping, name):
    assert microarchitecture("GenuineIntel", 6, model, stepping) == name


def test_an_intel_processor_of_another_family_is_not_named_by_family_six():
    assert microarchitecture("GenuineIntel", 15, 0x2A) == ""
    assert microarchitecture("GenuineIntel", 15, 0x55, 7) == ""


@pytest.mark.parametrize(
    ("family", "model", "brand", "name"),
    [
        (0x17, 0x01, "AMD EPYC 7601 32-Core Processor", "Zen (Naples)"),
        (0x17, 0x01, "AMD Ryzen 7 1800X Eight-Core Processor", "Zen"),
        (0x17, 0x31, "AMD EPYC 7742 64-Core Processor", "Zen 2 (Rome)"),
        (0x17, 0x31, "AMD Ryzen Threadripper 3990X 64-Core Processor", "Zen 2"),
        (0x17, 0x71, "AMD Ryzen 9 3950X 16-Core Processor", "Zen 2"),
        (0x19, 0x01, "AMD EPYC 7763 64-Core Processor", "Zen 3 (Milan)"),
        (0x19, 0x21, "AMD Ryzen 9 5950X 16-Core Processor", "Zen 3"),
        (0x19, 0x11, "AMD EPYC 9654 96-Core Processor", "Zen 4 (Genoa)"),
        (0x19, 0x61, "AMD Ryzen 9 7950X 16-Core Processor", "Zen 4"),
        (0x19, 0xA0, "AMD EPYC 9754 128-Core Processor", "Zen 4c (Bergamo)"),
        (0x19, 0xA0, "AMD EPYC 8534P 64-Core Processor", "Zen 4c (Siena)"),
        (0x1A, 0x02, "AMD EPYC 9755 128-Core Processor", "Zen 5 (Turin)"),
        (0x1A, 0x11, "AMD EPYC 9965 192-Core Processor", "Zen 5c (Turin Dense)"),
        (0x1A, 0x44, "AMD Ryzen 9 9950X 16-Core Processor", "Zen 5"),
        (0x1A, 0xF0, "", ""),
        (0x15, 0x02, "AMD Opteron(tm) Processor 6376", ""),
    ],
)
def test_an_amd_family_model_and_brand_identify_the_microarchitecture(family, model, brand, name):
    assert microarchitecture("AuthenticAMD", family, model, 1, brand) == name


def test_the_library_adds_missing_facts_and_flags_without_repeating_any():
    known = CpuModel(family=0x41, model=0xD0C, stepping=1, flags=("fp", "aes"), microarchitecture="Neoverse N1")
    full = completed(known, LibraryAnswer("ARM", "Neoverse-N1  ", "aarch64", ("aes", "sve")))
    assert (full.vendor, full.brand, full.architecture) == ("ARM", "Neoverse-N1", "aarch64")
    assert full.flags == ("fp", "aes", "sve")
    assert (full.family, full.model, full.stepping) == (0x41, 0xD0C, 1)


def test_the_text_takes_precedence_over_the_library():
    known = parse_cpuinfo(text_of("xeon_guest"))
    assert completed(known, LibraryAnswer("X", "Y", "Z")) == known


def test_an_empty_answer_of_the_library_changes_nothing():
    known = parse_cpuinfo(text_of("altra"))
    assert completed(known, LibraryAnswer()) == known
