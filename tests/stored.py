"""A store with known samples in a home, for the commands that read the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from daemons import empty_store
from probes.model import Channel, Device, Kind, Reason, Rejection, Source
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus, Tick
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CPU = Device("package-0", Kind.CPU)
ENERGY = Channel(CPU, "package", "energy_joules")
POWER = Channel(CPU, "package", "power_watts", Source.ESTIMATED)
CORES = Channel(CPU, "package", "cores")
SECOND_NS = 1_000_000_000


def store_of(home: Path) -> Path:
    """Return the path of a home's store."""
    return home / "state/inferometer/inferometer.db"


def prepared(path: Path) -> Path:
    """Create a store with its tables at a path, and return the path."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(empty_store())
    return path


def record(home: Path, at_ns: Iterable[int], program: str = "daemon") -> int:
    """Store one recording: ticks of 1 us at these times, with a counter in joules; one in ten has no energy."""
    moments = list(at_ns)
    engine = open_database(str(prepared(store_of(home))))
    writer = Writer(engine)
    probes = [("rapl", (ENERGY,)), ("estimate", (POWER, CORES))]
    rapl, estimate = writer.register(Host("host", "name"), probes, program, moments[0])
    writer.append(
        [tick for n, at in enumerate(moments) for tick in (_energy(rapl.id, n, at), _power(estimate.id, n, at))]
    )
    engine.dispose()
    return writer.recording


def _energy(layout: int, number: int, at_ns: int) -> Tick:
    refused = (Rejection(0, Reason.READ_ERROR),) if number % 10 == 5 else ()
    return Tick(layout, at_ns, at_ns + 2000, (float("nan") if refused else 100.0 + number,), refused)


def _power(layout: int, number: int, at_ns: int) -> Tick:
    return Tick(layout, at_ns, at_ns + 2000, (0.1 * number, 8.0))


def store_profile(home: Path, document: str, profile_id: str = "", workload: str = "transformer") -> str:
    """Store a profile document with its run; return its id, by default the document's own."""
    parsed = json.loads(document)
    profile_id = profile_id or parsed["id"]
    engine = open_database(str(prepared(store_of(home))))
    writer = Writer(engine)
    writer.register(Host("host", "name"), [("rapl", (ENERGY,))], "profile", 1)
    writer.save_run(Run(profile_id, "host", writer.recording, workload, "{}", RunStatus.COMPLETE, 1, 2))
    writer.save_profile(Profile(profile_id, profile_id, 2, workload, document))
    engine.dispose()
    return profile_id
