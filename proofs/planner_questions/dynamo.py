"""Asks the regressions of Dynamo's planner for times and capacity, fitted to the files of an export.

Arguments: the folder of the export, limits in ms of the first token and of the others, tokens of prompt and output.
"""

import json
import sys
from pathlib import Path

from dynamo.planner.core.perf_model import DecodeRegressionModel, PrefillRegressionModel
from dynamo.planner.monitoring.perf_metrics import _convert_decode_profiling, _convert_prefill_profiling

folder = sys.argv[1]
first_ms, token_ms, prompt, output = map(float, sys.argv[2:6])
prefill_points = _convert_prefill_profiling(folder)
decode_points = _convert_decode_profiling(folder)
prefill = PrefillRegressionModel(max_num_fpm_samples=64)
decode = DecodeRegressionModel(max_num_fpm_samples=64)
prefill.load_benchmark_fpms(prefill_points)
decode.load_benchmark_fpms(decode_points)
capacity = json.loads((Path(folder) / "decode_raw_data.json").read_text())["max_kv_tokens"]
prefill_rps, prefill_ms = prefill.find_best_engine_prefill_rps(first_ms, prompt)
decode_rps, decode_ms = decode.find_best_engine_decode_rps(token_ms, prompt + output / 2, output, capacity)


def answer(points: list, predicted: list[float], rps: float, ms: float) -> dict:
    """Return the measured and the predicted times in ms, and the capacity, which is 0 without a fit."""
    pairs = [(each.wall_time * 1000, seconds * 1000) for each, seconds in zip(points, predicted, strict=True)]
    return {"requests_per_second": rps, "ms": ms, "points": pairs}


scheduled = [each.scheduled_requests for each in prefill_points]
first = [prefill._predict_wall_time(each.sum_prefill_tokens) for each in scheduled]  # noqa: SLF001  not public
scheduled = [each.scheduled_requests for each in decode_points]
others = [decode._predict_2d(each.num_decode_requests, each.sum_decode_kv_tokens) for each in scheduled]  # noqa: SLF001
print(
    json.dumps(
        {
            "prefill": answer(prefill_points, first, prefill_rps, prefill_ms),
            "decode": answer(decode_points, others, decode_rps, decode_ms),
        }
    )
)
