"""Accelerators and models for llm-d's workload-variant-autoscaler, with parameters for both generations of its model.

Times are in milliseconds, n is the number of requests in service, i and o are the tokens of prompt and output:

- until 0.5.1: decode = alpha + beta n, prefill = gamma + delta i n
- since February 2026, with T = alpha + n (beta (i + o) / (o + 1) + gamma (i + o / 2)):
  prefill = T + (beta + gamma) i, decode = T + beta + gamma (i + o / 2), time to first token = prefill + decode

https://github.com/llm-d/llm-d-workload-variant-autoscaler: `pkg/config/types.go`, `pkg/analyzer/queueanalyzer.go`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.exports.fits import fit, r_squared
from agent.exports.loads import cached_loads, left_out, loads_of, sources
from agent.exports.machines import check_alike, hour_price, machine_of, model_of
from agent.exports.records import Exported, Exporter, ExportError, Fact, json_file
from agent.profiling.pricing import loaded_idle_watts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.exports.loads import Load
    from agent.exports.records import ExportRequest

_MILLISECONDS, _CENTS = 1000.0, 100.0
_LEAST_LOADS, _POWER_LOADS = 3, 2
_PROMPTS, _OUTPUT_TOKENS, _CLIENTS = (128, 512), 128, (1, 2, 4, 8, 16)
_REQUESTS = 30
_MOST_CACHED = 0.25
"""The largest share of a prompt from the cache of the server: the formulas have only one length of a prompt."""
_COMMAND = "inferometer profile endpoint --url URL --for wva"


def _files(request: ExportRequest) -> Exported:
    check_alike(request.documents)
    invalid = left_out(request.documents)
    first = request.documents[0]
    closed = [each for each in loads_of(request.documents) if each.clients and each.is_decoding]
    loads = [each for each in closed if each.cached_share <= _MOST_CACHED]
    invalid += cached_loads(closed, _MOST_CACHED)
    machine = machine_of(first)
    count = round(request.number("acc_count") or machine.count)
    name, model = request.text("acc") or machine.name, request.text("model") or model_of(first)
    unmeasured = _unmeasured(request, loads)
    missing = [] if name else ["the name of the accelerator: --set acc=NAME"]
    missing += [] if model else ["the model: --set model=NAME"]
    price, no_price = hour_price(loads)
    if price is None and loads:
        missing.append(no_price)
    if unmeasured or missing or price is None:
        raise ExportError([*unmeasured, *(unmeasured and invalid), *missing], _COMMAND if unmeasured else "")
    currency = loads[0].document.tariff.currency if loads[0].document.tariff else None
    notes = [
        f"the power is {sources(loads)}, in whole watts",
        f"cost is in cents of {currency or 'no currency'} an hour",
    ]
    memory = request.number("mem_gb") or machine.memory_gb
    bandwidth = request.number("mem_bw_gb_s")
    accelerator: dict[str, Any] = {
        "name": name,
        "type": request.text("type") or name,
        "multiplicity": 1,
        **({} if memory is None else {"memSize": round(memory)}),
        **({} if bandwidth is None else {"memBW": round(bandwidth)}),
        "power": _power(request, loads, count),
        "cost": price * _CENTS / count,
        "source": f"Inferometer {first.inferometer_version}: {'; '.join(notes)}",
    }
    batch = round(request.number("max_batch_size") or max(each.clients or 0 for each in loads))
    if request.number("max_batch_size") is None:
        notes.append(f"maxBatchSize is the largest measured number of clients, {batch}: --set max_batch_size=N")
    row = {"name": model, "acc": name, "accCount": count, "maxBatchSize": batch, **_parameters(loads)}
    notes += [
        f"the fit of {key} explains {value:.1%} of the variance" for key, value in row["fit"]["r2"].items() if value
    ]
    return Exported(
        {"accelerators.json": json_file({"accelerators": [accelerator]}), "models.json": json_file({"models": [row]})},
        (*notes, *invalid),
    )


def _unmeasured(request: ExportRequest, loads: Sequence[Load]) -> list[str]:
    """Return the reasons for which the fits or the power are not known."""
    reasons = []
    clients = {each.clients for each in loads}
    if len(clients) < _LEAST_LOADS:
        reasons.append(f"uncached loads of {_LEAST_LOADS} numbers of clients: there are {len(clients)}")
    if len({each.prompt_tokens for each in loads}) <= 1:
        reasons.append("prompts of two lengths, which separate gamma from delta")
    if loads and len(_curve(loads)) < _POWER_LOADS:
        reasons.append("two loads of the same lengths, for the power at half of the rate")
    if any(each.point.power is None for each in loads):
        reasons.append("the power of every load")
    if all(loaded_idle_watts(each.baselines) is None for each in request.documents):
        reasons.append("the power of the idle server")
    return reasons


def _curve(loads: Sequence[Load]) -> list[Load]:
    """Return the loads of the lengths with the highest rate of output tokens, by the rate of their requests."""
    fastest = max(loads, key=lambda each: each.output_tokens_per_second)
    return sorted((each for each in loads if each.shape == fastest.shape), key=_rate)


def _rate(load: Load) -> float:
    return load.point.inferences_per_second.mean


def _power(request: ExportRequest, loads: Sequence[Load], count: int) -> dict[str, Any]:
    """Return the whole watts of one device: idle, at the highest rate of requests, and at the rate nearest to its half.

    All are of the same lengths; utilization is the share of the highest rate.
    """
    known = [found for each in request.documents if (found := loaded_idle_watts(each.baselines)) is not None]
    *lower, full = _curve(loads)
    middle = min(lower, key=lambda each: abs(_rate(each) / _rate(full) - 0.5))
    watts = {
        "idle": sum(each.mean for each in known) / len(known),
        "full": full.point.power.mean_watts.mean if full.point.power else 0.0,
        "midPower": middle.point.power.mean_watts.mean if middle.point.power else 0.0,
    }
    return {**{name: round(value / count) for name, value in watts.items()}, "midUtil": _rate(middle) / _rate(full)}


def _parameters(loads: Sequence[Load]) -> dict[str, Any]:
    """Return the fitted parameters of both generations, the quality of the fits and their range."""
    between = [each.token_seconds * _MILLISECONDS for each in loads]
    first = [each.first_token_seconds * _MILLISECONDS for each in loads]
    sizes = [
        (float(each.clients or 0), each.mean_input_tokens or 0.0, each.mean_output_tokens or 0.0) for each in loads
    ]
    decode_rows, first_rows = [_decode_row(*each) for each in sizes], [_first_row(*each) for each in sizes]
    decode = fit([(1.0, n) for n, _, _ in sizes], between)
    prefill = fit([(1.0, tokens * n) for n, tokens, _ in sizes], first)
    service = fit([*decode_rows, *first_rows], [*between, *first])
    clients, prompts, outputs = zip(*sizes, strict=True)
    return {
        "atTokens": round(sum(outputs) / len(outputs)),
        "decodeParms": dict(zip(("alpha", "beta"), decode.coefficients, strict=True)),
        "prefillParms": dict(zip(("gamma", "delta"), prefill.coefficients, strict=True)),
        "serviceParms": dict(zip(("alpha", "beta", "gamma"), service.coefficients, strict=True)),
        "fit": {
            "r2": {
                "decodeParms": decode.r_squared,
                "prefillParms": prefill.r_squared,
                "serviceParms_itl": r_squared(between, service.predicted(decode_rows)),
                "serviceParms_ttft": r_squared(first, service.predicted(first_rows)),
            },
            "points": len(loads),
            "batch_size": [min(clients), max(clients)],
            "input_tokens": [min(prompts), max(prompts)],
            "output_tokens": [min(outputs), max(outputs)],
        },
    }


def _size(load: Load) -> tuple[float, float, float]:
    """Return the number of requests in service, and the mean tokens of prompt and output."""
    return float(load.clients or 0), load.mean_input_tokens or 0.0, load.mean_output_tokens or 0.0


def _decode_row(n: float, prompt: float, output: float) -> tuple[float, float, float]:
    """Return the factors of alpha, beta and gamma in the time of one output token."""
    memory = prompt + output / 2
    return 1.0, n * (prompt + output) / (output + 1) + 1, (n + 1) * memory


def _first_row(n: float, prompt: float, output: float) -> tuple[float, float, float]:
    """Return the factors in the time to the first token: a prefill and one output token."""
    memory = prompt + output / 2
    prefill = (1.0, n * (prompt + output) / (output + 1) + prompt, n * memory + prompt)
    one, two, three = _decode_row(n, prompt, output)
    return prefill[0] + one, prefill[1] + two, prefill[2] + three


EXPORTER = Exporter(
    "wva",
    "accelerators.json and models.json for the workload-variant-autoscaler of llm-d",
    _files,
    folder=True,
    facts=(
        Fact("acc", "name of the accelerator, by default that of the accelerator or the processor"),
        Fact("type", "type of the accelerator, by default its name"),
        Fact("acc_count", "number of devices that serve the model, by default those in the profile", number=True),
        Fact("model", "name of the model, by default the one that the server reports"),
        Fact("max_batch_size", "requests that the server runs at once, by default the most clients", number=True),
        Fact("mem_gb", "memory of one device in GB, by default that of a host without accelerators", number=True),
        Fact("mem_bw_gb_s", "memory bandwidth of one device in GB/s", number=True),
    ),
    points=tuple(
        {"prompt_tokens": prompt, "output_tokens": _OUTPUT_TOKENS, "concurrency": clients}
        for prompt in _PROMPTS
        for clients in _CLIENTS
    ),
    requests=_REQUESTS,
    extra="planning",
)
