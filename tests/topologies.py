"""The table of topologies: machines of every build, and exactly what of each is added to the host total."""

from __future__ import annotations

import machines
from agent.energy.counted_sensors import Boundary
from machines import Topology
from metered_topologies import METERED

REST = ("board, disks, network and fans", "power supply losses")
LOSSES = ("power supply losses",)
PSYS = ("parts that are not wired to psys", *LOSSES)
_GRACE_PLACES = {"package-0": "module-0.grace", "GPU-hopper": "module-0.gpu"}
_PACKAGES = "package-0/package package-1/package"
_SERVER = f"{_PACKAGES} package-0/dram package-1/dram"
_PLATFORM = dict.fromkeys(("psys/psys", "psys-1/psys"), ("package-0", "package-1", "memory", "board"))

TOPOLOGIES = (
    Topology("nothing at all", "", Boundary.NONE, ("the whole host: nothing here measures power",)),
    Topology(
        "one socket with memory", "package-0/package package-0/dram", Boundary.PACKAGE, REST, build=machines.one_socket
    ),
    Topology("two sockets with memory", _SERVER, Boundary.PACKAGE, REST, build=machines.two_sockets),
    Topology(
        "two sockets of two dies each, with memory",
        " ".join(f"package-{s}-die-{d}/{part}" for s in "01" for d in "01" for part in ("package", "dram")),
        Boundary.PACKAGE,
        REST,
        trees=("intel_multi_die",),
    ),
    Topology("two sockets with psys", "psys/psys", Boundary.NODE, PSYS, trees=("intel_server_2s",), covers=_PLATFORM),
    Topology(
        "two sockets, each of which shows psys once more",
        "psys/psys",
        Boundary.NODE,
        PSYS,
        trees=("intel_server_2s",),
        build=machines.psys_of_each_socket,
        covers=_PLATFORM,
    ),
    Topology(
        "two sockets with psys, and a GPU",
        f"{_SERVER} GPU-a/board",
        Boundary.COMPONENTS,
        REST,
        trees=("intel_server_2s",),
        gpus=(machines.CARD,),
        covers=_PLATFORM,
    ),
    Topology(
        "Intel client: graphics inside, the memory-mapped duplicate of its zone",
        "package-0/package",
        Boundary.PACKAGE,
        ("memory", *REST),
        build=machines.client,
    ),
    Topology(
        "Intel laptop: psys, graphics inside, the duplicate",
        "psys/psys",
        Boundary.NODE,
        PSYS,
        trees=("intel_client",),
        covers=_PLATFORM,
    ),
    Topology(
        "Intel client with an Arc card",
        "package-0/package 0000:03:00.0/card",
        Boundary.COMPONENTS,
        ("memory", *REST),
        trees=("intel_arc_xe",),
        build=machines.client,
        covers={"0000:03:00.0/package": ("0000:03:00.0.chip",)},
    ),
    Topology("AMD EPYC, two sockets", _PACKAGES, Boundary.PACKAGE, ("memory", *REST), trees=("amd_epyc",)),
    Topology(
        "AMD EPYC, whose cores a driver counts as well",
        _PACKAGES,
        Boundary.PACKAGE,
        ("memory", *REST),
        trees=("amd_epyc", "amd_energy"),
    ),
    Topology(
        "AMD EPYC with Instinct cards",
        f"{_PACKAGES} 0000:05:00.0/package 0000:26:00.0/package",
        Boundary.COMPONENTS,
        ("memory", *REST),
        trees=("amd_epyc", "amd_instinct"),
    ),
    Topology(
        "AMD APU with an NPU",
        "package-0/package",
        Boundary.PACKAGE,
        ("memory", *REST),
        trees=("amd_strix_apu_npu",),
        covers={"0000:c4:00.0/socket": ("package-0",), "0000:c5:00.1/npu": ("package-0.npu",)},
        places={"0000:c4:00.0": "package-0.gpu", "0000:c5:00.1": "package-0.npu"},
    ),
    Topology(
        "AMD APU with an NPU, and a Radeon card",
        "package-0/package 0000:03:00.0/package",
        Boundary.COMPONENTS,
        ("memory", *REST),
        trees=("amd_strix_apu_npu",),
        build=machines.apu_with_card,
        covers={"0000:c4:00.0/socket": ("package-0",), "0000:c5:00.1/npu": ("package-0.npu",)},
        places={"0000:c4:00.0": "package-0.gpu", "0000:c5:00.1": "package-0.npu"},
    ),
    Topology(
        "an Instinct card split into eight partitions, beside two sockets",
        f"{_SERVER} 0000:05:00.0/package",
        Boundary.COMPONENTS,
        REST,
        build=machines.partitioned_instinct,
    ),
    Topology(
        "Instinct cards on an MI350 baseboard that shows its power, beside two sockets",
        f"{_SERVER} 0000:05:00.0/baseboard",
        Boundary.COMPONENTS,
        REST,
        build=machines.mi350_baseboard,
        covers={"0000:05:00.0/baseboard": ("0000:05:00.0", "0000:26:00.0")},
    ),
    Topology(
        "AMD APU with unreadable RAPL zones",
        "0000:c4:00.0/socket",
        Boundary.PACKAGE,
        ("memory", *REST),
        build=machines.apu_without_rapl,
        proc="xeon_guest",
        covers={"0000:c4:00.0/socket": ("package-0",)},
        places={"0000:c4:00.0": "package-0.gpu"},
    ),
    Topology(
        "AMD MI300A",
        "0000:01:00.0/socket",
        Boundary.PACKAGE,
        ("memory", *REST),
        build=machines.mi300a,
        covers={"0000:01:00.0/socket": ("package-0",)},
        places={"0000:01:00.0": "package-0"},
    ),
    Topology(
        "two sockets and two GPUs",
        f"{_SERVER} GPU-a/board GPU-b/board",
        Boundary.COMPONENTS,
        REST,
        build=machines.two_sockets,
        gpus=(machines.CARD, machines.OTHER),
    ),
    Topology(
        "two sockets and a GPU split by MIG",
        f"{_SERVER} GPU-mig/board",
        Boundary.COMPONENTS,
        REST,
        build=machines.two_sockets,
        gpus=(machines.SPLIT,),
    ),
    Topology(
        "Gaudi cards beside two sockets",
        f"{_SERVER} 0000:19:00.0/card 0000:b3:00.0/card",
        Boundary.COMPONENTS,
        REST,
        trees=("gaudi2",),
        build=machines.two_sockets,
    ),
    Topology(
        "Alveo cards, each with two functions, beside two sockets",
        f"{_SERVER} 0000:af:00.1/card 0000:b3:00.1/card",
        Boundary.COMPONENTS,
        REST,
        trees=("alveo",),
        build=machines.two_sockets,
    ),
    Topology(
        "an FPGA card whose board holds its management engine, beside two sockets",
        f"{_SERVER} 0000:65:00.0/board",
        Boundary.COMPONENTS,
        REST,
        trees=("altera_dfl",),
        build=machines.two_sockets,
        covers={"0000:65:00.0/fme": ("0000:65:00.0.fme",)},
    ),
    Topology(
        "Grace Hopper, whose GPU reports the module's power as well",
        "module-0/module",
        Boundary.COMPONENTS,
        REST,
        trees=("grace_hopper",),
        build=machines.hopper_in_its_socket,
        gpus=(machines.REPORTING_HOPPER,),
        covers=machines.GRACE_COVERS,
        places=_GRACE_PLACES,
    ),
    Topology(
        "Grace Hopper with a card in a slot",
        "module-0/module GPU-a/board",
        Boundary.COMPONENTS,
        REST,
        trees=("grace_hopper",),
        gpus=(machines.HOPPER, machines.CARD),
        covers=machines.GRACE_COVERS,
        places=_GRACE_PLACES,
    ),
    Topology(
        "two Grace Blackwell boards, whose GPUs all report their board's power",
        "GPU-0/module GPU-2/module",
        Boundary.COMPONENTS,
        REST,
        build=machines.blackwell_tray,
        gpus=machines.BLACKWELLS,
        covers={"GPU-0/module": ("0",), "GPU-2/module": ("1",)}
        | {f"package-{number}/package": (f"{number}.grace",) for number in (0, 1)}
        | {f"GPU-{n}/{domain}": (f"{n // 2}.{n}",) for n in range(4) for domain in ("board", "board-average")}
        | {f"GPU-{n}/memory": (f"{n // 2}.{n}.memory",) for n in range(4)},
        places={"package-0": "0.grace", "package-1": "1.grace"} | {f"GPU-{n}": f"{n // 2}.{n}" for n in range(4)},
    ),
    Topology(
        "Jetson with a meter of its input",
        "1-0040/module",
        Boundary.COMPONENTS,
        REST,
        trees=("jetson_orin",),
        gpus=(machines.ORIN,),
        proc="xeon_guest",
        covers={"1-0040/module": ("",), "1-0040/vdd_cpu_gpu_cv": ("package-0", "GPU-orin"), "1-0040/vdd_soc": ("soc",)},
    ),
    Topology(
        "Jetson with rails alone",
        "1-0040/vdd_gpu_soc 1-0040/vdd_cpu_cv 1-0040/vin_sys_5v0 1-0041/vddq_vdd2_1v8ao",
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
        trees=("jetson_agx_orin",),
        gpus=(machines.ORIN,),
        proc="xeon_guest",
        covers={"1-0040/vdd_gpu_soc": ("GPU-orin",), "1-0040/vdd_cpu_cv": ("package-0",)},
    ),
    Topology(
        "DGX Spark",
        "NVDA8800:00/sys_total",
        Boundary.NODE,
        LOSSES,
        trees=("dgx_spark",),
        gpus=(machines.SPARK,),
        covers={f"NVDA8800:00/{domain}": seen for domain, seen in machines.SPARK_COVERS.items()},
        places={"GPU-spark": "soc.0.g"},
    ),
    Topology(
        "Ampere, with meters of processor and input",
        "APMC0D29:00/cpu APMC0D29:00/io",
        Boundary.PACKAGE,
        ("memory", *REST),
        build=machines.ampere,
        proc="xeon_guest",
        covers={"APMC0D29:00/cpu": ("package-0", "APMC0D29:00"), "APMC0D29:00/io": ("io",)},
    ),
    Topology(
        "Ampere, whose meters two drivers show",
        "APMC0D29:00/cpu APMC0D29:00/io",
        Boundary.PACKAGE,
        ("memory", *REST),
        build=machines.ampere_by_two_drivers,
        proc="xeon_guest",
        covers={
            f"{device}/{domain}": (seen,)
            for device in ("APMC0D29:00", "altra_hwmon.0")
            for domain, seen in (("cpu", "package-0"), ("io", "io"), ("core-000", "package-0.core"))
        },
        places={"APMC0D29:00": "package-0", "altra_hwmon.0": "package-0"},
    ),
    Topology(
        "Arm firmware's meter of the chip",
        "scmi_dev.5/soc",
        Boundary.COMPONENTS,
        ("what these rails do not feed", *REST),
        trees=("arm_scmi",),
        proc="xeon_guest",
        covers={
            "scmi_dev.5/soc": ("package-0",),
            "arm-scmi/soc": ("package-0",),
            "arm-scmi/cluster0": ("package-0.cluster",),
        },
    ),
    Topology(
        "a virtual machine: processors estimated",
        "package-0/package",
        Boundary.WALL,
        ("accelerators",),
        proc="xeon_guest",
    ),
    Topology(
        "processors estimated, a GPU measured",
        "package-0/package GPU-a/board",
        Boundary.COMPONENTS,
        ("power supply losses of the accelerators",),
        gpus=(machines.CARD,),
        proc="xeon_guest",
    ),
    *METERED,
)
