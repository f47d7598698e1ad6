"""Channels of the sensors that machines have."""

from __future__ import annotations

from dataclasses import replace

from probes.model import Channel, Device, Kind, Source

REST = ("board, disks, network and fans", "power supply losses")
LOSSES = ("power supply losses",)


def channel(device, domain, kind=Kind.CPU, *within, metric="energy_joules", **known):
    return Channel(Device(device, kind), domain, metric, contained_in=within, **known)


def estimated(socket=0):
    energy = channel(f"package-{socket}", "package", source=Source.ESTIMATED, uncertainty=0.5)
    return (energy, replace(energy, metric="power_watts"))


def socket(number, *domains, psys=False):
    name, out = f"package-{number}", (("psys", "psys"),) if psys else ()
    package = channel(name, "package", Kind.CPU, *out)
    inner = (channel(name, domain, Kind.CPU, (name, "package"), *out) for domain in domains if domain != "dram")
    dram = (channel(name, "dram", Kind.CPU, *out) for domain in domains if domain == "dram")
    return (package, *inner, *dram)


def nvidia(uuid="GPU-a", module=""):
    within = ((module, "module"),) if module else ()
    board = channel(uuid, "board", Kind.GPU, *within)
    parts = tuple(
        channel(uuid, domain, Kind.GPU, (uuid, "board"), *within, metric="power_watts")
        for domain in ("board-average", "memory")
    )
    return (board, replace(board, metric="power_watts"), *parts)


def grace(number):
    module, package = (f"module-{number}", "module"), (f"package-{number}", "package")
    return (
        channel(*module, Kind.BOARD, metric="power_watts"),
        channel(*package, Kind.CPU, module, metric="power_watts"),
        channel(package[0], "cpu", Kind.CPU, package, module, metric="power_watts"),
        channel(package[0], "sysio", Kind.CPU, package, module, metric="power_watts"),
    )


PSYS = channel("psys", "psys", Kind.BOARD)
WALL = channel("ACPI000D:00", "wall", Kind.BOARD, metric="power_watts")
NVML_MODULE = channel("GPU-a", "module", Kind.GPU, metric="power_watts")
NPU = channel("0000:c6:00.1", "npu", Kind.NPU, ("package-0", "package"), metric="power_watts")
GAUDI = channel("0000:19:00.0", "card", Kind.ACCELERATOR, metric="power_watts")


def supply(name, *domains):
    held = {domain: ((name, domains[0]),) if domain != domains[0] else () for domain in domains}
    return tuple(channel(name, domain, Kind.PSU, *held[domain], metric="power_watts") for domain in domains)


def rails(device, *domains):
    return tuple(channel(device, domain, Kind.BOARD, metric="power_watts") for domain in domains)


def jetson(*domains):
    return tuple(
        channel("1-0040", domain, Kind.BOARD, *((("1-0040", "module"),) if domain != "module" else ()))
        for domain in domains
    )


def spark(*domains):
    deep = ("dc_input", "sys_total", "package", "cpu_gpu")
    return tuple(
        channel(
            "NVDA8800:00",
            domain,
            Kind.BOARD,
            *(("NVDA8800:00", outer) for outer in deep[: deep.index(domain)] if outer in domains),
            metric="power_watts",
        )
        for domain in domains
    )
