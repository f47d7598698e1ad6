"""Stores with a profile and the samples of its run, and the archives of bundles."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.model import Channel, Device, Kind
from store.database import open_database
from store.records import Host, Profile, Run, RunStatus, Tick
from store.writer import Writer
from stored import SECOND_NS, prepared, store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START_NS = 1_795_726_732 * SECOND_NS
SECONDS = 150
GPU = Device("GPU-4f0c1a52-aaaa-bbbb-cccc-1234567890ab", Kind.GPU, "NVIDIA H100 80GB HBM3")


def store_run(home: Path, document: Mapping[str, Any], device: Device = GPU, domain: str = "board") -> str:
    """Store a profile with 150 s of samples: a counter of 10 W on top of 5 kJ, and a gauge that rises by 1 W/s."""
    engine = open_database(str(prepared(store_of(home))))
    writer = Writer(engine)
    channels = (Channel(device, domain, "energy_joules"), Channel(device, domain, "power_watts"))
    host = Host(document["host"]["id"], document["host"]["name"])
    [layout] = writer.register(host, [("nvml", channels)], "profile", START_NS)
    run = Run(document["id"], host.id, writer.recording, "transformer", "{}", RunStatus.COMPLETE, START_NS)
    moments = range(SECONDS + 1)
    ticks = [
        Tick(layout.id, at, at, (5000.0 + 10.0 * n, float(n))) for n in moments for at in [START_NS + n * SECOND_NS]
    ]
    writer.append(ticks)
    writer.save_run(Run(*(getattr(run, name) for name in run.__slots__[:-1]), ended_ns=START_NS + SECONDS * SECOND_NS))
    writer.save_profile(Profile(run.id, run.id, START_NS, "transformer", json.dumps(document)))
    engine.dispose()
    return run.id


def archive(files: Mapping[str, bytes] | Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """Return a ZIP archive of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items() if isinstance(files, dict) else files:
            made.writestr(name, content)
    return stream.getvalue()


def listed(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a bundle with a manifest that lists those other than itself."""
    facts = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
        if name != "manifest.json"
    }
    return {**files, "manifest.json": json.dumps({**manifest, "files": facts}).encode()}


def files_of(bundle: bytes | Path) -> dict[str, bytes]:
    """Return the files of a bundle by name."""
    with zipfile.ZipFile(bundle if isinstance(bundle, Path) else io.BytesIO(bundle)) as made:
        return {name: made.read(name) for name in made.namelist()}
