from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from agent.exports.dynamo import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from agent.profiling.run_facts import CheckResult
from planner_documents import load, profile

ALONE = [load((prompt, 128), prompt / 1000, 0.01, 0.5, 15, concurrency=1) for prompt in (128, 256, 512, 1024, 2048)]
BUSY = load((512, 128), 0.9, 0.02, 2.0, 15, concurrency=4)
FACTS = {"max_kv_tokens": "10000", "gpus": "2"}


def exported(*points, **facts):
    files = EXPORTER.files(ExportRequest((profile(*points),), {**FACTS, **facts})).files
    return json.loads(files["prefill_raw_data.json"]), json.loads(files["decode_raw_data.json"])


def missing(*points, facts=FACTS):
    with pytest.raises(ExportError) as refused:
        EXPORTER.files(ExportRequest((profile(*points),), facts))
    return refused.value


def test_prefill_has_the_times_of_one_client_in_milliseconds():
    prefill, _ = exported(*ALONE, BUSY)
    assert prefill["prefill_isl"] == [128, 256, 512, 1024, 2048]
    assert prefill["prefill_ttft"] == pytest.approx([128, 256, 512, 1024, 2048])
    assert prefill["prefill_thpt_per_gpu"] == pytest.approx([500] * 5)


def test_decode_has_the_used_share_of_the_cache_by_the_law_of_little():
    decode = exported(*ALONE, BUSY)[1]
    assert (len(decode["z_itl"]), decode["max_kv_tokens"]) == (6, 10000)
    assert decode["y_context_length"][-1] == 512 + 64
    assert decode["x_kv_usage"][-1] == pytest.approx(2 * 128 * 0.02 * 576 / 10000)
    assert decode["z_itl"][-1] == pytest.approx(20)
    assert decode["z_thpt_per_gpu"][-1] == pytest.approx(128)


def test_files_state_that_they_have_no_power():
    assert all(file["source"]["note"] == "times are measured; the files have no power" for file in exported(*ALONE))


def test_too_few_points_are_refused_with_the_command():
    refused = missing(*ALONE[:3], facts={})
    assert refused.missing == (
        "uncached prompts of 5 lengths with one client: there are 3",
        "5 loads with a number of clients: there are 3",
        "the tokens that the KV cache holds: --set max_kv_tokens=N",
    )
    assert refused.command == "inferometer profile endpoint --url URL --for dynamo"


def test_cache_that_is_smaller_than_its_use_is_refused():
    (line,) = missing(*ALONE, BUSY, facts={"max_kv_tokens": "1000"}).missing
    assert line.startswith("a max_kv_tokens of at least 2949, the tokens that")


def test_invalid_points_are_left_out_with_their_reason():
    check = CheckResult("client_not_limiting", "failed", "invalid", "the client was late")
    late = replace(ALONE[0], valid=False, checks=(check,))
    assert missing(late, *ALONE[1:]).missing[:2] == (
        "uncached prompts of 5 lengths with one client: there are 4",
        "5 loads with a number of clients: there are 4",
    )
    assert missing(late, *ALONE[1:]).missing[2].endswith("is invalid and left out: the client was late")


def cached(point, share):
    serving = replace(point.serving, cached_input_tokens_per_second=share * point.input_tokens_per_second.mean)
    return replace(point, serving=serving)


def test_prefill_has_the_tokens_that_the_server_computed():
    prefill, _ = exported(cached(ALONE[0], 0.25), *ALONE[1:])
    assert prefill["prefill_isl"][0] == 96


def test_prompt_that_came_mostly_from_the_cache_is_left_out_of_the_prefill():
    refused = missing(cached(ALONE[0], 0.75), *ALONE[1:])
    assert refused.missing[0] == "uncached prompts of 5 lengths with one client: there are 4"
    assert "75 % of its prompts came from the cache of the server" in refused.missing[1]


def test_open_loops_are_left_out_because_their_number_of_requests_varies():
    assert len(exported(*ALONE, load((512, 128), 0.9, 0.02, 2.0, 15, rate=2.0))[1]["z_itl"]) == 5
