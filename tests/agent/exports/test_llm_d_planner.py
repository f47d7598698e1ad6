from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from agent.cost.tariff import Tariff
from agent.exports.llm_d_planner import EXPORTER, SHAPES
from agent.exports.records import ExportError, ExportRequest
from planner_documents import PRICES, load, profile

if TYPE_CHECKING:
    from agent.profiling.records import Document

CHAT = load((512, 256), 0.1, 0.02, 2.0, rate=2.0)
FACTS = {"model": "org/model", "hardware": "RACK-1", "memory_gb": "80"}


def exported(*documents: Document, **facts: str) -> tuple[dict, dict]:
    files = EXPORTER.files(ExportRequest(documents, {**FACTS, **facts})).files
    return json.loads(files["benchmarks.json"]), json.loads(files["gpu_catalog.json"])


def missing(*documents: Document, facts: dict[str, str] = FACTS) -> ExportError:
    with pytest.raises(ExportError) as refused:
        EXPORTER.files(ExportRequest(documents, facts))
    return refused.value


def test_benchmark_has_the_fields_of_the_planner_in_milliseconds():
    (row,) = exported(profile(CHAT))[0]["benchmarks"]
    assert row == {
        "model_hf_repo": "org/model",
        "hardware": "RACK-1",
        "hardware_count": 1,
        "framework": "llama.cpp",
        "framework_version": "",
        "prompt_tokens": 512,
        "output_tokens": 256,
        "ttft_mean": 100.0, "ttft_p90": 150.0, "ttft_p95": 200.0, "ttft_p99": 400.0,
        "itl_mean": 20.0, "itl_p90": 30.0, "itl_p95": 40.0, "itl_p99": 80.0,
        "e2e_mean": 5220.0, "e2e_p90": 7830.0, "e2e_p95": 10440.0, "e2e_p99": 20880.0,
        "mean_input_tokens": 512.0,
        "mean_output_tokens": 256.0,
        "requests_per_second": 2.0,
        "tokens_per_second": 512.0,
        "power_watts_mean": 100.0,
        "power_source": "measured",
    }  # fmt: skip


def test_catalog_prices_a_device_at_an_hour_of_full_use():
    (row,) = exported(profile(CHAT), hardware_count="4", compute_capability="9.0")[1]["gpu_types"]
    assert row["gpu_type"] == "RACK-1"
    assert row["cost_per_hour_usd"] == pytest.approx((1 + 0.3 * 0.1) / 4)
    assert (row["memory_gb"], row["compute_capability"]) == (80, "9.0")
    assert "the power is measured" in row["notes"]


def test_estimated_power_is_named_in_both_files():
    point = load((512, 256), 0.1, 0.02, 2.0, rate=2.0)
    assert point.power is not None
    estimated = msgspec.structs.replace(point, power=msgspec.structs.replace(point.power, source="estimated"))
    benchmarks, catalog = exported(profile(estimated))
    assert benchmarks["_metadata"]["description"].endswith("the power is estimated")
    assert benchmarks["benchmarks"][0]["power_source"] == "estimated"
    assert catalog["gpu_types"][0]["notes"].endswith("the power is estimated")


def test_points_with_other_lengths_are_left_out():
    rows = exported(profile(CHAT, load((64, 32), 0.1, 0.02, 9.0, rate=9.0)))[0]["benchmarks"]
    assert [row["prompt_tokens"] for row in rows] == [512]


def test_profile_without_a_needed_length_is_refused_with_the_command_that_measures_it():
    refused = missing(profile(load((64, 32), 0.1, 0.02, 9.0, rate=9.0)))
    assert refused.missing == ("a load of 512/256, 1024/1024, 4096/512, 10240/1536 prompt/output tokens",)
    assert "--for llm-d-planner" in refused.command


def test_everything_that_is_missing_is_listed_at_once():
    short = load((512, 256), 0.1, 0.02, 2.0, requests=40, rate=2.0)
    nameless = msgspec.structs.replace(profile(short, tariff=None).workload, settings={})
    lines = missing(profile(short, tariff=None, workload=nameless), facts={"hardware": "RACK-1"}).missing
    assert [line.partition(":")[0] for line in lines if "needed" not in line] == [
        "the model_hf_repo",
        "the cost of an hour",
    ]
    assert sum("no p99 of ttft from 40 requests" in line for line in lines) == 1


def test_prices_in_another_currency_are_refused_because_nothing_is_converted():
    euros = Tariff(price_per_kwh=0.3, currency="EUR", capital=35040)
    assert missing(profile(CHAT, tariff=euros)).missing == (
        "prices in USD, and nothing is converted: the tariff is in EUR",
    )


def test_tariff_without_capital_has_no_price_of_an_hour():
    (line,) = missing(profile(CHAT, tariff=Tariff(price_per_kwh=0.3, currency="USD"))).missing
    assert "no total without capital" in line


def test_requests_of_other_lengths_than_requested_are_refused():
    serving = msgspec.structs.replace(
        CHAT.serving, output_tokens=msgspec.structs.replace(CHAT.serving.output_tokens, mean=99.5)
    )
    (line,) = missing(profile(msgspec.structs.replace(CHAT, serving=serving))).missing
    assert line.endswith("256 tokens of a prompt or an output, which were 99.5 on average")


def test_load_on_a_cache_of_prompts_is_left_out_with_the_remedy():
    serving = msgspec.structs.replace(CHAT.serving, cached_input_tokens_per_second=512.0)
    lines = missing(profile(msgspec.structs.replace(CHAT, serving=serving))).missing
    assert lines[1].endswith(
        "50 % of its prompts came from the cache of the server; start it without a cache of prompts"
    )


def test_profiles_of_two_machines_are_refused():
    one, other = profile(CHAT), profile(CHAT)
    other = msgspec.structs.replace(other, host=msgspec.structs.replace(other.host, id="b", name="there"))
    assert missing(one, other).missing == (
        "profiles of one model on one machine: these are of smollm2 on here, smollm2 on there",
    )


def test_notes_name_the_lengths_without_a_benchmark():
    notes = EXPORTER.files(ExportRequest((profile(CHAT),), FACTS)).notes
    assert "no benchmark at 1024/1024, 4096/512, 10240/1536 tokens" in notes[1]


def test_lengths_of_imported_results_are_those_that_all_requests_had():
    other_tool = msgspec.structs.replace(CHAT, parameters={"concurrency": 4})
    document = profile(other_tool)
    workload = msgspec.structs.replace(document.workload, settings={"model": "org/model"})
    (row,) = exported(msgspec.structs.replace(document, workload=workload))[0]["benchmarks"]
    assert (row["prompt_tokens"], row["output_tokens"]) == (512, 256)


def test_needed_points_are_the_lengths_of_the_planner():
    assert [(each["prompt_tokens"], each["output_tokens"]) for each in EXPORTER.points] == list(SHAPES)
    assert EXPORTER.requests >= 299
    assert PRICES.currency == "USD"
