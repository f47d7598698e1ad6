"""Makes metric families of the state of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.sampling.store_state import StoreState


def store_families(state: StoreState | None) -> Iterator[GaugeMetricFamily]:
    """Yield the state of the store, the time of its last commit and the number of waiting reads; nothing for None."""
    if state is None:
        return
    yield GaugeMetricFamily(
        "inferometer_store_up", "1 if the last attempt to write the store succeeded, else 0.", float(state.up)
    )
    if state.last_commit_ns is not None:
        yield GaugeMetricFamily(
            "inferometer_store_last_commit_timestamp_seconds",
            "Unix time at which the store last took samples.",
            state.last_commit_ns / 1e9,
        )
    yield GaugeMetricFamily(
        "inferometer_store_rows_waiting", "Reads of a whole probe that are not stored yet.", float(state.waiting)
    )
