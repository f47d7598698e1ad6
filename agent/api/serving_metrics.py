"""Exports the measured inference servers: their scrapes, their traffic, and their parts of the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from agent.attribution.snapshot import DeviceState, ModelState, ServerState, ServingSnapshot

_PREFIX = "inferometer_serving_"
_MODEL = ("server", "model")


def serving_families(snapshot: ServingSnapshot | None) -> Iterator[Family]:
    """Yield the families of the servers, their models and their devices; nothing without servers."""
    if snapshot is None or not snapshot.servers:
        return
    yield from _scrapes(snapshot.servers)
    yield from _traffic(snapshot.models)
    yield from _energy(snapshot.models)
    yield from _figures(snapshot)
    yield from _devices(snapshot.devices)


def _scrapes(servers: Sequence[ServerState]) -> Iterator[Family]:
    up = GaugeMetricFamily(f"{_PREFIX}up", "1 if the last scrape of the server succeeded, else 0.", labels=("server",))
    success = GaugeMetricFamily(
        f"{_PREFIX}last_success_timestamp_seconds",
        "Unix time of the last scrape of the server that succeeded.",
        labels=("server",),
        unit="seconds",
    )
    scrapes = CounterMetricFamily(f"{_PREFIX}scrapes", "Scrapes of the server that have ended.", labels=("server",))
    errors = CounterMetricFamily(
        f"{_PREFIX}scrape_errors", "Failed scrapes of the server, by reason.", labels=("server", "reason")
    )
    restarts = CounterMetricFamily(
        f"{_PREFIX}restarts", "Restarts of the server, seen by its process or its counters.", labels=("server",)
    )
    shortened = GaugeMetricFamily(
        f"{_PREFIX}labels_shortened", "Models with a shortened or cleaned name in the last scrape.", labels=("server",)
    )
    folded = GaugeMetricFamily(
        f"{_PREFIX}models_folded", "Models of the last scrape that count as the model other.", labels=("server",)
    )
    requests = GaugeMetricFamily(
        f"{_PREFIX}requests_in_flight", "Requests at the last scrape, by state.", labels=("server", "state")
    )
    for server in servers:
        own = (server.name,)
        up.add_metric(own, float(server.up))
        if server.last_success_ns:
            success.add_metric(own, server.last_success_ns / 1e9)
        scrapes.add_metric(own, server.scrapes)
        for reason, count in sorted(server.errors.items()):
            errors.add_metric((*own, reason), count)
        restarts.add_metric(own, server.restarts)
        shortened.add_metric(own, server.shortened_labels)
        folded.add_metric(own, server.folded_models)
        for state, value in (("running", server.running), ("waiting", server.waiting)):
            if value is not None:
                requests.add_metric((*own, state), value)
    yield from (up, success, scrapes, errors, restarts, shortened, folded, requests)


def _traffic(models: Sequence[ModelState]) -> Iterator[Family]:
    for quantity, meaning in (
        ("input_tokens", "Input tokens of the model while this service measured it."),
        ("output_tokens", "Output tokens of the model while this service measured it."),
        ("requests", "Ended requests of the model while this service measured it."),
    ):
        family = CounterMetricFamily(f"{_PREFIX}{quantity}", meaning, labels=_MODEL)
        for model in models:
            if quantity in model.counts:
                family.add_metric((model.server, model.model), model.counts[quantity])
        yield family


def _energy(models: Sequence[ModelState]) -> Iterator[Family]:
    energy = CounterMetricFamily(
        f"{_PREFIX}energy_joules",
        "Energy of the model: its share of the idle energy of its devices, and of their energy above idle.",
        labels=(*_MODEL, "part", "method", "source"),
        unit="joules",
    )
    for model in models:
        for labels, joules in sorted(model.joules.items()):
            energy.add_metric((model.server, model.model, *labels), joules)
    yield energy


def _figures(snapshot: ServingSnapshot) -> Iterator[Family]:
    joules = GaugeMetricFamily(
        f"{_PREFIX}joules_per_output_token",
        "Energy over output tokens in the last window_seconds, idle energy included.",
        labels=(*_MODEL, "window_seconds", "source"),
    )
    bounds = GaugeMetricFamily(
        f"{_PREFIX}joules_per_output_token_bound",
        "Lower and upper bound of the joules per output token.",
        labels=(*_MODEL, "bound"),
    )
    duration = GaugeMetricFamily(
        f"{_PREFIX}request_duration_mean_seconds",
        "Mean duration of a request in the same window, by the source of the duration.",
        labels=(*_MODEL, "basis"),
        unit="seconds",
    )
    cost = GaugeMetricFamily(
        f"{_PREFIX}cost_per_million_tokens",
        "Cost of a million tokens in the same window, idle and capital included, in the tariff's currency.",
        labels=(*_MODEL, "phase", "cost_basis", "allocation_method", "currency"),
    )
    for model in snapshot.models:
        own = (model.server, model.model)
        per_token = model.window.joules_per_output_token if model.window else None
        if model.window is None or per_token is None:
            continue
        joules.add_metric((*own, str(model.window.window_seconds), model.source), per_token.joules)
        bounds.add_metric((*own, "lower"), per_token.lower)
        bounds.add_metric((*own, "upper"), per_token.upper)
        if mean := model.window.mean_duration():
            duration.add_metric((*own, mean[1]), mean[0])
        for each in model.costs:
            labels = (*own, each.phase, "allocation", each.allocation_method, snapshot.currency)
            cost.add_metric(labels, each.amount)
    yield from (joules, bounds, duration, cost)


def _devices(devices: Sequence[DeviceState]) -> Iterator[Family]:
    parts = CounterMetricFamily(
        f"{_PREFIX}device_energy_joules",
        "Energy of a device of a server: idle, attributed to servers, and unattributed (other processes).",
        labels=("device", "part", "source"),
        unit="joules",
    )
    residual = GaugeMetricFamily(
        f"{_PREFIX}energy_residual_joules",
        "Energy of the device minus the sum of its parts, since the start of the service.",
        labels=("device",),
        unit="joules",
    )
    bound = GaugeMetricFamily(
        f"{_PREFIX}energy_residual_bound_joules",
        "Largest absolute residual that the bounds of energy and idle power explain.",
        labels=("device",),
        unit="joules",
    )
    idle = GaugeMetricFamily(
        f"{_PREFIX}idle_power_watts",
        "Idle power of the device with its servers loaded.",
        labels=("device",),
        unit="watts",
    )
    measured = GaugeMetricFamily(
        f"{_PREFIX}idle_power_timestamp_seconds",
        "Unix time of the last minute without work that the idle power is from.",
        labels=("device",),
        unit="seconds",
    )
    for each in devices:
        for part, joules in each.parts.items():
            parts.add_metric((each.device, part, each.source), joules)
        residual.add_metric((each.device,), each.residual)
        bound.add_metric((each.device,), each.residual_bound)
        if each.idle.at_ns is not None:
            idle.add_metric((each.device,), each.idle.watts)
            measured.add_metric((each.device,), each.idle.at_ns / 1e9)
    yield from (parts, residual, bound, idle, measured)
