"""The topologies of meters around a host, and of sensors that no tree of /sys has."""

from __future__ import annotations

import machines
from agent.energy.counted_sensors import Boundary
from machines import Topology
from sensor_channels import LOSSES, REST

_PLATFORM = dict.fromkeys(("psys/psys", "psys-1/psys"), ("package-0", "package-1", "memory", "board"))
_SERVER = "package-0/package package-1/package package-0/dram package-1/dram"

METERED = (
    Topology(
        "two power supplies with meters of their input, sockets, a GPU",
        "7-0058/wall 7-0059/wall",
        Boundary.WALL,
        (),
        build=machines.supplies,
        gpus=(machines.CARD,),
    ),
    Topology(
        "a whole-node meter, sockets, a GPU",
        "ACPI000D:00/wall",
        Boundary.WALL,
        (),
        build=machines.wall_metered,
        gpus=(machines.CARD,),
    ),
    Topology(
        "two whole-node meters that may measure the same power",
        "ACPI000D:00/wall",
        Boundary.WALL,
        ("anything that ACPI000D:01 measures beside ACPI000D:00",),
        build=machines.doubly_wall_metered,
        gpus=(machines.CARD,),
    ),
    Topology(
        "a BMC's meter beside everything",
        "bmc/wall",
        Boundary.WALL,
        (),
        trees=("intel_server_2s", "gaudi2"),
        gpus=(machines.CARD,),
        beside=(machines.BMC,),
        covers=_PLATFORM,
    ),
    Topology(
        "a Cray node's counters beside sockets and a GPU",
        "pm_counters/node",
        Boundary.NODE,
        LOSSES,
        trees=("cray_ex",),
        build=machines.two_sockets,
        gpus=(machines.CARD,),
        covers=machines.CRAY_COVERS,
    ),
    Topology(
        "a plug, two power supplies, sockets and a GPU",
        "meter-desk/wall",
        Boundary.WALL,
        (),
        build=machines.supplies,
        gpus=(machines.CARD,),
        beside=(machines.PLUG,),
    ),
    Topology(
        "a plug and a BMC that measure the same host",
        "meter-desk/wall",
        Boundary.WALL,
        ("anything that bmc measures beside meter-desk",),
        build=machines.two_sockets,
        beside=(machines.BMC, machines.PLUG),
    ),
    Topology(
        "two outlets, each of which feeds one of two supplies",
        "meter-left/feed meter-right/feed",
        Boundary.WALL,
        (),
        build=machines.supplies,
        gpus=(machines.CARD,),
        beside=machines.FEEDS,
        covers={"meter-left/feed": ("behind meter-left",), "meter-right/feed": ("behind meter-right",)},
    ),
    Topology(
        "a BMC with a chassis of accelerators inside its own",
        "bmc/wall",
        Boundary.WALL,
        (),
        build=machines.two_sockets,
        gpus=(machines.CARD, machines.OTHER),
        beside=machines.HGX,
        covers={"bmc/hgx": ("GPU-a", "GPU-b")},
    ),
    Topology(
        "two sockets that count the energy of groups of tasks",
        _SERVER,
        Boundary.PACKAGE,
        REST,
        trees=("resctrl_aet",),
        build=machines.two_sockets,
        covers={
            f"package-{socket}/{group}": (f"package-{socket}.core{part}",)
            for socket in (0, 1)
            for group, part in (("core-group", ""), ("core-group-llm", ".llm"))
        },
    ),
    Topology(
        "two sockets by the counters of perf, whose zones cannot be read",
        _SERVER,
        Boundary.PACKAGE,
        REST,
        beside=machines.PMU,
    ),
    Topology(
        "an Ascend card of two chips, which share its meter, beside two sockets",
        f"{_SERVER} 0000:01:00.0/card",
        Boundary.COMPONENTS,
        REST,
        build=machines.two_sockets,
        beside=machines.ASCEND,
        places={"0000:02:00.0": "0000:01:00.0.chip"},
    ),
    Topology(
        "a Tenstorrent card that no driver shows, beside two sockets",
        _SERVER,
        Boundary.PACKAGE,
        ("0000:c1:00.0 (nothing measures its power)", *REST),
        build=machines.card_without_driver,
    ),
)
