"""Each joule of a machine counts once: the counted sensors, the boundary and the missing parts."""

from __future__ import annotations

import pytest

from agent.energy.counted_sensors import Boundary, coverage
from probes.model import Kind
from sensor_channels import (
    GAUDI,
    LOSSES,
    NPU,
    NVML_MODULE,
    PSYS,
    REST,
    WALL,
    channel,
    estimated,
    grace,
    jetson,
    nvidia,
    rails,
    socket,
    spark,
    supply,
)

MACHINES = {
    "nothing at all": ((), set(), Boundary.NONE, ("the whole host: nothing here measures power",)),
    "one socket with memory": (
        socket(0, "core", "uncore", "dram"),
        {("package-0", "package"), ("package-0", "dram")},
        Boundary.PACKAGE,
        REST,
    ),
    "two sockets with memory": (
        (*socket(0, "dram"), *socket(1, "dram")),
        {(f"package-{number}", domain) for number in (0, 1) for domain in ("package", "dram")},
        Boundary.PACKAGE,
        REST,
    ),
    "two sockets, the memory of one": (
        (*socket(0, "dram"), *socket(1)),
        {("package-0", "package"), ("package-0", "dram"), ("package-1", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "one socket of two dies": (
        (channel("package-0-die-0", "package"), channel("package-0-die-1", "package")),
        {("package-0-die-0", "package"), ("package-0-die-1", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "AMD: packages alone": (
        (*socket(0), *socket(1)),
        {("package-0", "package"), ("package-1", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "client with graphics inside": (
        socket(0, "core", "uncore"),
        {("package-0", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "psys over packages and memory": (
        (PSYS, *socket(0, "core", "dram", psys=True)),
        {("psys", "psys")},
        Boundary.NODE,
        ("parts that are not wired to psys", *LOSSES),
    ),
    "psys under another name than the packages know": (
        (channel("psys-1", "psys", Kind.BOARD), *socket(0, "dram", psys=True)),
        {("psys-1", "psys")},
        Boundary.NODE,
        ("parts that are not wired to psys", *LOSSES),
    ),
    "psys beside a GPU: the parts": (
        (PSYS, *socket(0, "core", "dram", psys=True), *nvidia()),
        {("package-0", "package"), ("package-0", "dram"), ("GPU-a", "board")},
        Boundary.COMPONENTS,
        REST,
    ),
    "psys and a GPU, but no packages": (
        (PSYS, *nvidia()),
        {("psys", "psys")},
        Boundary.NODE,
        ("GPU-a/board, if it is not wired to psys", "parts that are not wired to psys", *LOSSES),
    ),
    "psys and an NPU inside the package": (
        (PSYS, *socket(0, psys=True), NPU),
        {("psys", "psys")},
        Boundary.NODE,
        ("parts that are not wired to psys", *LOSSES),
    ),
    "package with an NPU inside": ((*socket(0), NPU), {("package-0", "package")}, Boundary.PACKAGE, ("memory", *REST)),
    "package and two GPUs": (
        (*socket(0), *nvidia(), *nvidia("GPU-b")),
        {("package-0", "package"), ("GPU-a", "board"), ("GPU-b", "board")},
        Boundary.COMPONENTS,
        ("memory", *REST),
    ),
    "GPUs alone": (
        (*nvidia(), *nvidia("GPU-b")),
        {("GPU-a", "board"), ("GPU-b", "board")},
        Boundary.ACCELERATOR,
        ("processors", "memory", *REST),
    ),
    "NPU without a package's sensor": (
        (NPU,),
        {("0000:c6:00.1", "npu")},
        Boundary.ACCELERATOR,
        ("processors", "memory", *REST),
    ),
    "estimate alone": (
        (*estimated(0), *estimated(1)),
        {("package-0", "package"), ("package-1", "package")},
        Boundary.WALL,
        ("accelerators",),
    ),
    "estimated processor beside a measured GPU": (
        (*estimated(), *nvidia()),
        {("package-0", "package"), ("GPU-a", "board")},
        Boundary.COMPONENTS,
        ("power supply losses of the accelerators",),
    ),
    "estimated processor holds its cores, but not its NPU": (
        (*estimated(), channel("zen", "core", Kind.CPU, ("package-0", "package"), metric="power_watts"), NPU),
        {("package-0", "package"), ("0000:c6:00.1", "npu")},
        Boundary.COMPONENTS,
        ("power supply losses of the accelerators",),
    ),
    "the package by RAPL and once more by a driver of its own": (
        (*socket(0, "core"), channel("package-0", "package"), channel("package-0", "package", metric="power_watts")),
        {("package-0", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "cores that a driver counts beside RAPL": (
        (*socket(0), *(channel("package-0", f"core-{core}", Kind.CPU, ("package-0", "package")) for core in range(4))),
        {("package-0", "package")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "Arm server with meters of processor and input": (
        (channel("APMC0D29:00", "cpu", metric="power_watts"), channel("APMC0D29:00", "io", metric="power_watts")),
        {("APMC0D29:00", "cpu"), ("APMC0D29:00", "io")},
        Boundary.PACKAGE,
        ("memory", *REST),
    ),
    "Grace alone": (grace(0), {("module-0", "module")}, Boundary.COMPONENTS, REST),
    "Grace and the GPU of its module": (
        (*grace(0), *nvidia(module="module-0")),
        {("module-0", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "Grace, and a GPU that reports the same module once more": (
        (*grace(0), NVML_MODULE, *nvidia(module="GPU-a"), *nvidia("GPU-b", module="GPU-a")),
        {("module-0", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "Grace: the second module's meter is missing": (
        (*grace(0), *grace(1)[1:]),
        {("module-0", "module"), ("package-1", "package")},
        Boundary.COMPONENTS,
        REST,
    ),
    "Grace without the module's meter": (
        (*grace(0)[1:], *nvidia()),
        {("package-0", "package"), ("GPU-a", "board")},
        Boundary.COMPONENTS,
        ("memory", *REST),
    ),
    "two modules and a card that is not a GPU": (
        (*grace(0), *grace(1), *nvidia(module="module-1"), GAUDI),
        {("module-0", "module"), ("module-1", "module"), ("0000:19:00.0", "card")},
        Boundary.COMPONENTS,
        REST,
    ),
    "GPUs that report their module's power, with a Grace in it": (
        (*grace(0)[1:], NVML_MODULE, *nvidia(module="GPU-a"), *nvidia("GPU-b", module="GPU-a")),
        {("GPU-a", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "GPUs that report their module's power, the processor only estimated": (
        (*estimated(), NVML_MODULE, *nvidia(module="GPU-a")),
        {("GPU-a", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "GPUs that report their module's power beside a socket of their own": (
        (*socket(0, "dram"), NVML_MODULE, *nvidia(module="GPU-a")),
        {("package-0", "package"), ("package-0", "dram"), ("GPU-a", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "whole-node meter beside everything": (
        (WALL, *supply("7-0058", "wall", "pout1"), PSYS, *socket(0, "dram", psys=True), *nvidia(), *grace(0)),
        {("ACPI000D:00", "wall")},
        Boundary.WALL,
        (),
    ),
    "two whole-node meters that may measure the same power": (
        (WALL, channel("ACPI000D:01", "wall", Kind.BOARD, metric="power_watts")),
        {("ACPI000D:00", "wall")},
        Boundary.WALL,
        ("anything that ACPI000D:01 measures beside ACPI000D:00",),
    ),
    "two power supplies with meters of their input": (
        (*supply("7-0058", "wall", "pout1"), *supply("7-0059", "wall", "pout1"), *socket(0), *nvidia()),
        {("7-0058", "wall"), ("7-0059", "wall")},
        Boundary.WALL,
        (),
    ),
    "power supplies, one with a meter of its output only": (
        (*supply("7-0058", "wall", "pout1"), *supply("7-0059", "pout1"), *socket(0), *nvidia()),
        {("7-0058", "wall"), ("7-0059", "pout1")},
        Boundary.NODE,
        LOSSES,
    ),
    "DGX Spark: the whole system": (
        (*spark("sys_total", "package", "cpu_gpu"), *nvidia()),
        {("NVDA8800:00", "sys_total")},
        Boundary.NODE,
        LOSSES,
    ),
    "DGX Spark: its input": (
        (*spark("dc_input", "sys_total", "package"), *nvidia()),
        {("NVDA8800:00", "dc_input")},
        Boundary.NODE,
        LOSSES,
    ),
    "DGX Spark: the chip alone": (
        (*spark("package", "cpu_gpu"), *nvidia(module="module")),
        {("NVDA8800:00", "package")},
        Boundary.COMPONENTS,
        REST,
    ),
    "Jetson with a meter of its input": (
        (*jetson("module", "vdd_cpu_gpu_cv", "vdd_soc"), *nvidia(module="module"), *estimated()),
        {("1-0040", "module")},
        Boundary.COMPONENTS,
        REST,
    ),
    "Jetson with rails alone": (
        (
            *rails("1-0040", "vdd_gpu_soc", "vdd_cpu_cv"),
            *rails("1-0041", "vddq_vdd2_1v8ao"),
            *nvidia(module="module"),
            *estimated(),
        ),
        {("1-0040", "vdd_gpu_soc"), ("1-0040", "vdd_cpu_cv"), ("1-0041", "vddq_vdd2_1v8ao")},
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
    ),
    "rail of the whole chip beside a card": (
        (*rails("scmi_dev.5", "soc"), GAUDI, *nvidia()),
        {("scmi_dev.5", "soc"), ("0000:19:00.0", "card"), ("GPU-a", "board")},
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
    ),
    "a node controller's meters of parts, one of which is that of the GPU": (
        (*rails("pm_counters", "cpu", "accel-0"), *nvidia()),
        {("pm_counters", "cpu"), ("pm_counters", "accel-0")},
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
    ),
    "regulators beside the sockets they feed": (
        (*socket(0, "dram"), *rails("3-0060", "pin", "pout1"), *rails("3-0061", "vdd_cpu")),
        {("package-0", "package"), ("package-0", "dram")},
        Boundary.PACKAGE,
        REST,
    ),
    "a rail of unknown place beside an estimate": (
        (*estimated(), *rails("1-0040", "power1")),
        {("package-0", "package")},
        Boundary.WALL,
        ("accelerators",),
    ),
    "a rail of unknown place alone": (
        rails("1-0040", "power1"),
        {("1-0040", "power1")},
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
    ),
}


@pytest.mark.parametrize(("channels", "added", "boundary", "missing"), MACHINES.values(), ids=MACHINES)
def test_each_joule_counts_once_and_missing_parts_are_named(channels, added, boundary, missing):
    for order in (channels, channels[::-1]):
        found = coverage(order)
        pairs = [each.place for each in found.includes]
        assert set(pairs) == added
        assert len(pairs) == len(added)
        assert found.boundary is boundary
        assert found.not_covered == missing
