"""The result of a run: its document from its record and its samples, as text."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.profiling.analysis.metrics import Sensors
from agent.profiling.build import build_document
from agent.profiling.ceiling import GEMM, STREAM, with_ceilings
from agent.profiling.document.codec import to_json
from agent.profiling.document.versions import ProfileError, parse
from agent.profiling.run_samples import RunSamples, run_samples
from agent.profiling.stored_wall import with_stored_wall
from probes.model import ENERGY_METRICS
from store.errors import StoreError
from store.reader import Reader
from store.records import Profile, RunStatus, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agent.profiling.context import ProfileRequest, RunContext, RunRecord
    from agent.profiling.run_store import RunStore
    from agent.workloads.errors import WorkloadError


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: the profile as text and parsed (None if no repeat was complete), and its database.

    `database` is None for a run that is not stored. `failure` is the error that ended the workload early, `store_error`
    the error that prevented storing the profile; None without one. `lost` are the errors of the points that cannot be
    measured, by their name.
    """

    text: str
    document: dict[str, Any] | None
    database: str | None
    interrupted: bool = False
    failure: WorkloadError | None = None
    store_error: StoreError | None = None
    lost: Mapping[str, WorkloadError] = field(default_factory=dict)


def result_of(
    request: ProfileRequest, context: RunContext, record: RunRecord, run_store: RunStore, folder: Path | None
) -> RunResult:
    """Return the result of a run, without its database; `folder` has the wall factor of this host."""
    interrupted = record.run.status is RunStatus.INTERRUPTED
    created_ns = context.timebase.now_ns()
    document = build_document(request, context, record, _samples(context, record, run_store), created_ns)
    if document is None:
        return RunResult("", None, None, interrupted, record.failure, run_store.store_error)
    document = with_ceilings(document, _stored_ceilings(context, run_store))
    text = to_json(with_stored_wall(document, context, folder))
    run_store.save_profile(Profile(record.run.id, record.run.id, created_ns, request.spec.workload, text))
    return RunResult(text, json.loads(text), None, interrupted, record.failure, run_store.store_error, record.lost)


def _stored_ceilings(context: RunContext, run_store: RunStore) -> Iterator[dict[str, Any]]:
    """Yield the stored profiles of products and of memory, newest first; none if the store fails."""
    try:
        profiles = Reader(context.engine).profiles((GEMM, STREAM))
    except StoreError as error:
        run_store.note(error)
        return
    for profile in profiles:
        with suppress(ProfileError):
            yield parse(profile.document)


def _samples(context: RunContext, record: RunRecord, run_store: RunStore) -> RunSamples:
    """Return the samples of a run; none if the store fails, because latency and throughput need no samples."""
    period_seconds = record.sampling_period_seconds
    try:
        return run_samples(context.series, record.windows, period_seconds, context.channels)
    except StoreError as error:
        run_store.note(error)
        empty = [Series(channel, (), ()) for channel in context.channels if channel.metric in ENERGY_METRICS]
        return RunSamples(Sensors.of(empty, period_seconds, context.channels))
