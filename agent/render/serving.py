"""The energy of production traffic as JSON documents and as text: the state now, and the hours of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from agent.attribution.load import merged, parse_histogram, rate_at
from agent.render.quantities import rfc3339
from agent.render.tables import number, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.samples import Sample

    from agent.attribution.load import Histogram
    from store.records import ServingHour

_PREFIX = "inferometer_serving_"
_HOUR_NS = 3600 * 10**9
_SHARES = {"p50": 0.5, "p95": 0.95, "maximum": 1.0}


def status_document(metrics: str, hours: Sequence[ServingHour]) -> dict[str, Any]:
    """Return the state of the servers from the metrics of the service, with the load of some hours."""
    lines = "\n".join(line for line in metrics.splitlines() if line.startswith(_PREFIX))
    samples = [sample for family in text_string_to_metric_families(f"{lines}\n") for sample in family.samples]

    def found(name: str, **labels: str) -> list[Sample]:
        own = [each for each in samples if each.name == _PREFIX + name]
        return [each for each in own if labels.items() <= each.labels.items()]

    def value(name: str, **labels: str) -> float | None:
        return next((each.value for each in found(name, **labels)), None)

    servers = [
        {
            "server": each.labels["server"],
            "up": bool(each.value),
            "last_success": value("last_success_timestamp_seconds", server=each.labels["server"]),
            "scrapes": value("scrapes_total", server=each.labels["server"]),
            "errors": {
                error.labels["reason"]: error.value
                for error in found("scrape_errors_total", server=each.labels["server"])
            },
            "requests_running": value("requests_in_flight", server=each.labels["server"], state="running"),
            "requests_waiting": value("requests_in_flight", server=each.labels["server"], state="waiting"),
        }
        for each in found("up")
    ]
    keys = sorted({(each.labels["server"], each.labels.get("model", "")) for each in samples if "model" in each.labels})
    models = [_model(server, model, found, value, hours) for server, model in keys]
    devices = [
        _device(device, found, value)
        for device in sorted({s.labels["device"] for s in samples if "device" in s.labels})
    ]
    return {"servers": servers, "models": models, "devices": devices}


def _model(
    server: str,
    model: str,
    found: Callable[..., list[Sample]],
    value: Callable[..., float | None],
    hours: Sequence[ServingHour],
) -> dict[str, Any]:
    own = {"server": server, "model": model}
    window = next(iter(found("joules_per_output_token", **own)), None)
    energy = [{**each.labels, "joules": each.value} for each in found("energy_joules_total", **own)]
    return {
        **own,
        **{name: value(f"{name}_total", **own) for name in ("input_tokens", "output_tokens", "requests")},
        "energy": [{key: each[key] for key in ("part", "method", "source", "joules")} for each in energy],
        "joules_per_output_token": window.value if window else None,
        "lower": value("joules_per_output_token_bound", **own, bound="lower"),
        "upper": value("joules_per_output_token_bound", **own, bound="upper"),
        "source": window.labels["source"] if window else None,
        "window_seconds": int(window.labels["window_seconds"]) if window else None,
        "costs_per_million_tokens": [
            {key: each.labels[key] for key in ("phase", "cost_basis", "allocation_method", "currency")}
            | {"amount": each.value}
            for each in found("cost_per_million_tokens", **own)
        ],
        "load": _load([hour for hour in hours if (hour.server, hour.model) == (server, model)]),
    }


def _device(device: str, found: Callable[..., list[Sample]], value: Callable[..., float | None]) -> dict[str, Any]:
    parts = found("device_energy_joules_total", device=device)
    return {
        "device": device,
        "joules": {each.labels["part"]: each.value for each in parts},
        "source": parts[0].labels["source"] if parts else None,
        "residual_joules": value("energy_residual_joules", device=device),
        "residual_bound_joules": value("energy_residual_bound_joules", device=device),
        "idle_watts": value("idle_power_watts", device=device),
        "idle_measured": value("idle_power_timestamp_seconds", device=device),
    }


def _load(hours: Sequence[ServingHour]) -> dict[str, Any] | None:
    """Return the load over some hours of one model; None without an observed bin."""
    bins = sum(hour.bins for hour in hours)
    if not bins:
        return None
    requests = merged(parse_histogram(hour.requests_histogram) for hour in hours)
    tokens = merged(parse_histogram(hour.tokens_histogram) for hour in hours)
    return {
        "basis": hours[-1].basis,
        "bins": bins,
        "censored_bins": sum(hour.censored_bins for hour in hours),
        "requests_per_second": _rates(requests),
        "tokens_per_second": _rates(tokens),
        "requests_histogram": _rows(requests),
        "tokens_histogram": _rows(tokens),
    }


def _rates(histogram: Histogram) -> dict[str, float | None]:
    return {name: rate_at(histogram, share) for name, share in _SHARES.items()}


def _rows(histogram: Histogram) -> list[dict[str, float]]:
    return [
        {"at_most_per_second": limit, "bins": bins, "censored_bins": censored}
        for limit, (bins, censored) in sorted(histogram.items())
    ]


def history_document(hours: Iterable[ServingHour]) -> dict[str, Any]:
    """Return hours of traffic, each with its sums, its joules per output token and its load."""
    return {"hours": [_hour(each) for each in hours]}


def _hour(hour: ServingHour) -> dict[str, Any]:
    energies = {
        part: {bound: getattr(hour, f"{part}_{bound}") for bound in ("joules", "lower", "upper")}
        for part in ("idle", "attributed")
    }
    total = None if hour.idle_joules is None else hour.idle_joules + (hour.attributed_joules or 0.0)
    per_token = total / hour.output_tokens if total is not None and hour.output_tokens else None
    return {
        "server": hour.server,
        "model": hour.model,
        "start": rfc3339(hour.hour * _HOUR_NS),
        "requests": hour.requests,
        "errors": hour.errors,
        "input_tokens": hour.input_tokens,
        "output_tokens": hour.output_tokens,
        "mean_request_seconds": hour.duration / hour.requests if hour.duration and hour.requests else None,
        "energy": energies,
        "source": hour.source or None,
        "joules_per_output_token": per_token,
        "load": _load([hour]),
    }


def status_text(shown: Mapping[str, Any]) -> str:
    """Return the state of the servers as tables."""
    servers = table(
        ("server", "up", "running>", "waiting>", "scrapes>", "failed>"),
        [
            (
                each["server"],
                "yes" if each["up"] else "no",
                number(each["requests_running"]),
                number(each["requests_waiting"]),
                number(each["scrapes"]),
                ", ".join(f"{count:.0f} {reason}" for reason, count in each["errors"].items()) or "0",
            )
            for each in shown["servers"]
        ],
    )
    models = table(
        ("server", "model", "output tokens>", "energy>", "J/token>", "window>", "per million>", "tokens/s p95>"),
        [_model_row(each) for each in shown["models"]],
    )
    devices = table(
        ("device", "idle>", "attributed>", "unattributed>", "residual>", "idle power>", "source"),
        [
            (
                each["device"],
                *(number(each["joules"].get(part), "J") for part in ("idle", "attributed", "unattributed")),
                number(each["residual_joules"], "J"),
                number(each["idle_watts"], "W"),
                each["source"] or "-",
            )
            for each in shown["devices"]
        ],
    )
    return "\n\n".join(
        part for part, rows in ((servers, True), (models, shown["models"]), (devices, shown["devices"])) if rows
    )


def _model_row(each: Mapping[str, Any]) -> tuple[str, ...]:
    blended = next((cost for cost in each["costs_per_million_tokens"] if not cost["phase"]), None)
    load = each["load"]
    return (
        each["server"],
        each["model"] or "-",
        number(each["output_tokens"]),
        number(sum(part["joules"] for part in each["energy"]) if each["energy"] else None, "J"),
        number(each["joules_per_output_token"], "J"),
        f"{each['window_seconds']} s" if each["window_seconds"] else "-",
        f"{blended['amount']:.3g} {blended['currency']}".strip() if blended else "-",
        number(load["tokens_per_second"]["p95"]) if load else "-",
    )


def history_text(shown: Mapping[str, Any]) -> str:
    """Return hours of traffic as a table."""
    columns = (
        *("hour (UTC)", "server", "model", "requests>", "output tokens>", "energy>", "J/token>"),
        *("tokens/s p50>", "p95>", "max>", "censored>", "basis"),
    )
    return table(columns, [_hour_row(each) for each in shown["hours"]])


def _hour_row(each: Mapping[str, Any]) -> tuple[str, ...]:
    parts = [part["joules"] for part in each["energy"].values()]
    rates = each["load"]["tokens_per_second"] if each["load"] else dict.fromkeys(_SHARES)
    censored = each["load"]["censored_bins"] / each["load"]["bins"] if each["load"] else None
    return (
        each["start"][:16].replace("T", " "),
        each["server"],
        each["model"] or "-",
        number(each["requests"]),
        number(each["output_tokens"]),
        number(None if None in parts else sum(parts), "J"),
        number(each["joules_per_output_token"], "J"),
        *(number(rates[name]) for name in _SHARES),
        "-" if censored is None else f"{100 * censored:.0f} %",
        each["load"]["basis"] if each["load"] else "-",
    )
