"""Prefill and decode times for the planner of NVIDIA Dynamo (ai-dynamo 1.3), in the folder of `profile_results_dir`.

The planner fits the time to the first token to the length of a prompt, and the time between tokens to the number of
requests and of their tokens in the KV cache. https://github.com/ai-dynamo/dynamo
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.exports.loads import cached_loads, left_out, loads_of
from agent.exports.machines import check_alike, machine_of
from agent.exports.records import Exported, Exporter, ExportError, Fact, json_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.exports.loads import Load
    from agent.exports.records import ExportRequest

_MILLISECONDS = 1000.0
_LEAST_POINTS = 5
_MOST_CACHED = 0.5
"""The largest share of a prompt from the cache of the server; the rest is what a prefill computes."""
_PROMPTS = (128, 256, 512, 1024, 2048)
_OUTPUT_TOKENS = 128
_CLIENTS = (1, 4, 8)
_REQUESTS = 15
_COMMAND = "inferometer profile endpoint --url URL --for dynamo"


def _files(request: ExportRequest) -> Exported:
    check_alike(request.documents)
    invalid = left_out(request.documents)
    loads = [each for each in loads_of(request.documents) if each.clients and each.is_decoding]
    single = [each for each in loads if each.clients == 1]
    alone = [each for each in single if each.cached_share <= _MOST_CACHED]
    invalid += cached_loads(single, _MOST_CACHED)
    lengths = {round(each.new_input_tokens) for each in alone}
    unmeasured = []
    if len(lengths) < _LEAST_POINTS:
        unmeasured.append(f"uncached prompts of {_LEAST_POINTS} lengths with one client: there are {len(lengths)}")
    if len(loads) < _LEAST_POINTS:
        unmeasured.append(f"{_LEAST_POINTS} loads with a number of clients: there are {len(loads)}")
    capacity = request.number("max_kv_tokens")
    missing = [] if capacity else ["the tokens that the KV cache holds: --set max_kv_tokens=N"]
    if unmeasured or missing or capacity is None:
        raise ExportError([*unmeasured, *(unmeasured and invalid), *missing], _COMMAND if unmeasured else "")
    count = round(request.number("gpus") or machine_of(request.documents[0]).count)
    full = [each for each in loads if each.cached_tokens > capacity]
    if full:
        found = max(each.cached_tokens for each in full)
        raise ExportError([f"a max_kv_tokens of at least {found:.0f}, the tokens that {full[0].name} had in the cache"])
    source = {
        "tool": f"Inferometer {request.documents[0].inferometer_version}",
        "profiles": [each.id for each in request.documents],
        "note": "times are measured; the files have no power",
    }
    return Exported(
        {
            "prefill_raw_data.json": json_file({**_prefill(alone, count), "source": source}),
            "decode_raw_data.json": json_file({**_decode(loads, count, round(capacity)), "source": source}),
        },
        (f"{len(alone)} points of prefill, {len(loads)} of decode, on {count} devices", *invalid),
    )


def _prefill(loads: Sequence[Load], count: int) -> dict[str, Any]:
    """Return the time to the first token in milliseconds by the computed length of the prompt, of one client."""
    pairs = sorted((round(each.new_input_tokens), each.first_token_seconds) for each in loads)
    return {
        "prefill_isl": [tokens for tokens, _ in pairs],
        "prefill_ttft": [seconds * _MILLISECONDS for _, seconds in pairs],
        "prefill_thpt_per_gpu": [tokens / seconds / count for tokens, seconds in pairs],
    }


def _decode(loads: Sequence[Load], count: int, capacity: int) -> dict[str, Any]:
    """Return the time between tokens in milliseconds by the used share of the KV cache and the length of a request."""
    return {
        "x_kv_usage": [each.cached_tokens / capacity for each in loads],
        "y_context_length": [each.context_tokens for each in loads],
        "z_itl": [each.token_seconds * _MILLISECONDS for each in loads],
        "z_thpt_per_gpu": [each.output_tokens_per_second / count for each in loads],
        "max_kv_tokens": capacity,
    }


EXPORTER = Exporter(
    "dynamo",
    "prefill_raw_data.json and decode_raw_data.json for the planner of NVIDIA Dynamo 1.3",
    _files,
    folder=True,
    facts=(
        Fact("max_kv_tokens", "tokens that the KV cache of the server holds, from its log or its options", number=True),
        Fact("gpus", "number of devices that serve the model, by default those in the profile", number=True),
    ),
    points=tuple(
        {"prompt_tokens": prompt, "output_tokens": _OUTPUT_TOKENS, "concurrency": clients}
        for prompt in _PROMPTS
        for clients in _CLIENTS
    ),
    requests=_REQUESTS,
)
