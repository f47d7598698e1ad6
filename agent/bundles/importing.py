"""Stores the profile and the samples of a bundle as a run of another host."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from agent.bundles.manifest import SAMPLES, Bundle, BundleError
from agent.bundles.trace import MAX_CHANNELS, read_samples
from agent.profiling.document.moment import moment_of
from agent.profiling.document.versions import ProfileError, parse
from agent.runtime.text_input import quoted
from probes.model import Channel, Device, Kind, Source
from probes.text import one_line
from store.errors import UnstorableError
from store.reader import Reader
from store.records import IMPORTER, Host, Profile, Run, RunStatus, Tick
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

_Json = dict[str, Any]
_Key = tuple[str, str, str, str]
"""The part of a sample that names its channel: device, domain, metric, source."""
_TICKS_AT_ONCE = 10_000
_PREFIX = f"{IMPORTER}-"
_LONGEST_HOST_ID, _LONGEST_NAME = 64, 200
_LATEST_SECONDS = 4_102_444_800
"""The year 2100."""
_MOST_CPUS, _MOST_BYTES = 2**31 - 1, 2**63 - 1
"""The largest numbers that the columns of the store hold."""


def store_bundle(bundle: Bundle, engine: Engine) -> bool:
    """Store a bundle; return False if the same one is stored already, or another process stored it meanwhile.

    Raises BundleError if a profile with the same uid has other content, or the samples are not valid, and then stores
    nothing. Raises StoreError, and ImportError for samples without pyarrow.
    """
    if _is_stored(bundle, Reader(engine)):
        return False
    document, manifest = bundle.document, bundle.manifest
    channels = _channels(bundle)
    created_ns = created_ns_of(document)
    started_ns, ended_ns = manifest.started_ns or created_ns, manifest.ended_ns or created_ns
    writer = Writer(engine)
    probes = [(IMPORTER, (channel,)) for channel in channels.values()]
    layouts = writer.register(imported_host(document["host"]), probes, IMPORTER, time.time_ns())
    ids = dict(zip(channels, (layout.id for layout in layouts), strict=True))
    run = Run(
        id=manifest.uid,
        host_id=imported_host_id(document["host"]["id"]),
        recording=writer.recording,
        workload=document["workload"]["name"],
        settings=json.dumps({"samples_sha256": _samples_sum(bundle)}),
        status=RunStatus(document["status"]),
        started_ns=started_ns,
        ended_ns=ended_ns,
    )
    text = json.dumps(document, indent=2, allow_nan=False)
    writer.save_run(run)  # first: samples within a stored run are not pruned
    try:
        _append(bundle, writer, ids)
        return writer.save_profile(Profile(run.id, run.id, created_ns, run.workload, text))
    except UnstorableError:
        writer.delete_run(run.id)
        raise


def _is_stored(bundle: Bundle, reader: Reader) -> bool:
    uid = bundle.manifest.uid
    stored = reader.profile(uid)
    if stored is None:
        run = reader.run(uid)
        if run is not None and not run.host_id.startswith(_PREFIX):
            raise BundleError(f"a run of this store without a profile has the id {uid}: nothing was changed")
        return False
    remedy = (
        f"nothing was changed; delete the stored one first (`inferometer profiles delete {uid} --yes`) to replace it"
    )
    try:
        same = parse(stored.document) == bundle.document
    except ProfileError:
        same = False
    if not same:
        raise BundleError(f"the profile {uid} is stored already, with other content: {remedy}")
    run = reader.run(stored.run_id)
    known = json.loads(run.settings).get("samples_sha256") if stored.imported and run else _samples_sum(bundle)
    if known != _samples_sum(bundle):
        raise BundleError(f"the profile {uid} is stored already, with other samples: {remedy}")
    return True


def _samples_sum(bundle: Bundle) -> str | None:
    facts = bundle.manifest.files.get(SAMPLES)
    return facts.sha256 if facts else None


def _channels(bundle: Bundle) -> dict[_Key, Channel]:
    """Return the channels of the samples by key, after all samples were checked."""
    found: dict[_Key, Channel] = {}
    if bundle.samples is None:
        return found
    start_ns, end_ns = bundle.manifest.started_ns, bundle.manifest.ended_ns
    if start_ns is None or end_ns is None:
        raise BundleError("its manifest has no start and end for the samples")
    devices = {each["id"]: each for each in bundle.document["devices"]}
    for sample in read_samples(bundle.samples):
        if not start_ns <= sample.time_ns <= end_ns:
            raise BundleError(f"{SAMPLES}: a sample at {sample.time_ns} ns is outside of the run")
        if (key := sample[1:5]) not in found:
            found[key] = Channel(_device(sample.device, devices), sample.domain, sample.metric, Source(sample.source))
            if len(found) > MAX_CHANNELS:
                raise BundleError(f"{SAMPLES}: it has more than {MAX_CHANNELS:,} channels")
    return found


def _device(device_id: str, devices: Mapping[str, _Json]) -> Device:
    known = devices.get(device_id)
    if known is None:
        return Device(device_id, Kind.HOST)
    attributes = tuple((one_line(name), one_line(value)) for name, value in known["attributes"].items())
    return Device(device_id, Kind(known["kind"]), one_line(known["name"] or ""), attributes)


def _append(bundle: Bundle, writer: Writer, layouts: Mapping[_Key, int]) -> None:
    if bundle.samples is None:
        return
    waiting = read_samples(bundle.samples)
    while rows := list(islice(waiting, _TICKS_AT_ONCE)):
        writer.append([Tick(layouts[row[1:5]], row.time_ns, row.time_ns, (row.value,)) for row in rows])


def created_ns_of(document: _Json) -> int:
    """Return the time of a document. Raises BundleError if it is not from 1970 to 2100."""
    try:
        seconds = int(moment_of(document["created"]).timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds < _LATEST_SECONDS:
        raise BundleError(f"profile.json: `created` {quoted(document['created'])} is not a time from 1970 to 2100")
    return seconds * 10**9


def imported_host_id(host_id: str) -> str:
    """Return the id of an imported host, which is never that of a host whose sensors the store has."""
    return f"{_PREFIX}{one_line(host_id)}"[:_LONGEST_HOST_ID]


def imported_host(host: _Json) -> Host:
    """Return the host of a document as it is stored by an import."""
    return Host(
        id=imported_host_id(host["id"]),
        name=one_line(host["name"])[:_LONGEST_NAME],
        boot_id=one_line(host["boot_id"] or "")[:_LONGEST_HOST_ID],
        kernel=one_line(host["kernel"] or ""),
        operating_system=one_line(host["operating_system"] or ""),
        cpu_model=one_line(host["cpu_model"] or ""),
        microarchitecture=one_line(host["microarchitecture"] or ""),
        cpu_flags=tuple(map(one_line, host["cpu_flags"])),
        cores=min(max(host["logical_cpus"] or 0, 0), _MOST_CPUS),
        memory_bytes=min(max(host["memory_bytes"] or 0, 0), _MOST_BYTES),
        virtual=host["virtual"],
    )
