"""The load on a scripted server, from outside: a real workload process against its own log of times.

Requests and their tokens are counted in this process, where no times are compared.
"""

from __future__ import annotations

import statistics
from contextlib import contextmanager
from itertools import pairwise

import pytest

from agent.workloads.axes import request
from agent.workloads.endpoint import workload
from agent.workloads.endpoint.spec import EndpointSpec
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.runner.client import WorkloadProcess
from scripted_answers import TEMPLATE_TOKENS, Answer
from scripted_server import ScriptedServer

pytestmark = pytest.mark.system

STEADY = Answer(first_seconds=0.03, gap_seconds=0.005)


def spec_of(server: ScriptedServer, **given):
    lengths = {"output_tokens": (8,), **({} if "prompts" in given else {"prompt_tokens": (40,)})}
    return request(EndpointSpec, {"url": server.url, **lengths, **given})[0]


@contextmanager
def loaded(server: ScriptedServer, environment=None, **given):
    with WorkloadProcess(environment=environment) as process:
        yield process, process.start(spec_of(server, **given), EngineSpec())


def window(server: ScriptedServer, point, seconds=0.4, iterations=1, **given):
    with loaded(server, **given) as (process, _):
        process.prepare(point)
        return process.measure("serving", seconds, iterations)


def counted(server: ScriptedServer, point, seconds=0.2, iterations=1, **given):
    """Measure a window in this process, whose times mean nothing beside those of the server."""
    made = workload.load(spec_of(server, **given), EngineSpec())
    try:
        phase = made.prepare(point)["serving"]
        edges = {"started": lambda _: None, "ended": lambda _: None}
        return phase.measure("serving", seconds=seconds, iterations=iterations, **edges)
    finally:
        made.close()


@pytest.fixture
def steady():
    with ScriptedServer([STEADY]) as server:
        yield server


def test_a_closed_loop_reports_exact_counts_and_the_lengths_asked_for(steady):
    found = window(steady, {"concurrency": 3})
    load = found.load
    assert load.arrivals == "closed"
    assert load.token_source == "usage"
    assert {each.outcome for each in load.requests} == {"ok"}
    assert {(each.input_tokens, each.output_tokens, each.finish_reason) for each in load.requests} == {
        (40, 8, "length")
    }
    assert load.in_flight_start == load.in_flight_end == 3
    assert found.inferences == len(load.requests)
    assert found.end_ns - found.start_ns >= 0.4e9
    assert {len(each.written_ns) for each in steady.served[-9:-3]} == {8}


def test_times_agree_with_the_writes_of_the_server(steady):
    """p50 within 1 ms and p99 within 5 ms; further windows are measured while other programs delay both processes."""
    for _ in range(8):
        before = len(steady.served)
        found = window(steady, {"concurrency": 2}, seconds=1.0)
        written = sorted(served.written_ns[0] for served in steady.served[before:] if served.written_ns)
        firsts = [found.start_ns + each.first_ns for each in found.load.requests]
        late = sorted((first - max(at for at in written if at <= first)) / 1e6 for first in firsts)
        step = statistics.median(found.step_seconds)
        if statistics.median(late) < 1 and late[-1] < 5 and abs(step - 0.005) < 0.001:
            break
    assert statistics.median(late) < 1
    assert late[-1] < 5
    assert step == pytest.approx(0.005, abs=0.001)


def test_an_open_loop_sends_at_the_intended_times_and_follows_each_request(steady):
    found = window(steady, {"rate": 50.0}, seconds=1.0, arrivals="constant", rate=(50.0,))
    load = found.load
    assert load.arrivals == "constant"
    intended = [each.intended_ns for each in load.requests]
    assert {round((after - before) / 1e6, 1) for before, after in pairwise(intended)} == {20.0}
    assert len(load.requests) == pytest.approx(50, abs=1)
    assert all(each.ok and each.lag_seconds >= 0 for each in load.requests)
    assert load.in_flight_start > 0
    assert not load.capped


def test_a_poisson_loop_of_equal_seed_has_equal_gaps(steady):
    gaps = []
    for _ in range(2):
        found = window(steady, {"rate": 40.0}, rate=(40.0,), seed=7)
        intended = [each.intended_ns for each in found.load.requests]
        gaps.append([(after - before) // 1000 for before, after in pairwise(intended)])
    first, second = sorted(gaps, key=len)
    assert len(set(first)) > 1
    assert any(second[at : at + 3] == first[2:5] for at in range(len(second)))


def test_latency_starts_at_the_intended_time_if_the_server_is_too_slow():
    with ScriptedServer([Answer(first_seconds=0.05)], slots=1) as server:
        found = window(server, {"rate": 40.0}, seconds=0.6, rate=(40.0,), arrivals="constant", output_tokens=(1,))
    latencies = [each.time_to_first_token_seconds for each in found.load.requests]
    assert latencies[-1] > latencies[0] + 0.2
    assert found.load.in_flight_end > found.load.in_flight_start


def test_prompts_are_unique_and_have_the_length_asked_for(steady):
    counted(steady, {"concurrency": 2})
    prompts = [served.body["messages"][0]["content"] for served in steady.served]
    assert len(set(prompts)) == len(prompts)
    assert len({prompt.split(" ")[0] for prompt in prompts}) > 1
    assert steady.served[-1].prompt_tokens == 40 == TEMPLATE_TOKENS + len(prompts[-1].split())


def test_prompts_of_a_file_come_in_turn_and_end_by_themselves(steady, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('"one"\n"two words"\n"three of them"\n', encoding="ascii")
    found = counted(steady, {"concurrency": 1}, iterations=4, prompts=file)
    sent = [served.body["messages"][0]["content"] for served in steady.served]
    assert sent[:4] == ["one", "two words", "three of them", "one"]
    assert {each.input_tokens for each in found.load.requests} == {TEMPLATE_TOKENS + words for words in (1, 2, 3)}
    assert not any("ignore_eos" in served.body for served in steady.served)


def test_repeats_of_a_point_have_other_arrivals(steady):
    gaps = []
    with loaded(steady, rate=(40.0,)) as (process, _):
        for _ in range(2):
            process.prepare({"rate": 40.0})
            due = [each.intended_ns for each in process.measure("serving", 0.4, 4).load.requests]
            gaps.append({(after - before) // 1000 for before, after in pairwise(due)})
    assert not gaps[0] & gaps[1]


def test_a_shared_prefix_is_equal_in_all_prompts(steady):
    counted(steady, {"concurrency": 1}, shared_prefix=0.5)
    prompts = [served.body["messages"][0]["content"].split() for served in steady.served[3:]]
    shared = round(35 * 0.5)
    assert len({tuple(prompt[:shared]) for prompt in prompts}) == 1
    assert len({tuple(prompt[shared:]) for prompt in prompts}) == len(prompts)


def test_refused_fields_are_left_out_after_one_refusal():
    with ScriptedServer([STEADY], refuses=("ignore_eos", "temperature")) as server:
        found = window(server, {"concurrency": 1})
        refused = [served for served in server.served if not served.written_ns]
    assert {each.outcome for each in found.load.requests} == {"ok"}
    assert ["ignore_eos" in served.body for served in refused[:2]] == [True, False]
    assert len([served for served in server.served if "temperature" in served.body]) == 2


def test_a_server_without_usage_is_refused_with_the_tokenizer_as_remedy():
    with (
        ScriptedServer([Answer(usage=False)]) as server,
        loaded(server) as (process, _),
        pytest.raises(WorkloadError, match="no token counts") as caught,
    ):
        process.prepare({"concurrency": 1})
    assert "--tokenizer" in caught.value.remedy


def test_several_models_are_listed_in_the_error():
    with ScriptedServer(models=("one", "two")) as server:
        with pytest.raises(WorkloadError, match="2 models: one, two") as caught, loaded(server):
            pass
        assert caught.value.remedy == "choose one with --model"
        with loaded(server, model="two") as (process, ready):
            process.prepare({"concurrency": 1})
            assert ready.model == "two"
        assert server.served[-1].body["model"] == "two"


def test_a_model_that_the_server_does_not_list_is_refused():
    with ScriptedServer(models=("llama3:latest", "other")) as server:
        lists = "--model llama4: the server lists llama3:latest, other"
        with pytest.raises(WorkloadError, match=lists), loaded(server, model="llama4"):
            pass
        with loaded(server, model="llama3") as (_, ready):
            assert ready.model == "llama3"


def test_the_message_of_the_server_is_shown_for_synthetic_prompts_only(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('"private"\n', encoding="ascii")
    with ScriptedServer([Answer(status=500)]) as server:
        for given, message in (({}, "(http 500): scripted"), ({"prompts": file}, "(http 500)")):
            with loaded(server, **given) as (process, _):
                with pytest.raises(WorkloadError) as failed:
                    process.prepare({"concurrency": 1})
                assert failed.value.message.endswith(message)


def test_a_server_that_is_not_there_is_named():
    with ScriptedServer() as server:
        pass
    with pytest.raises(WorkloadError, match="does not answer"), loaded(server):
        pass


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(status=500), "http 500"),
        (Answer(status=301), "http 301"),
        (Answer(fault="truncated"), "truncated"),
        (Answer(fault="garbage"), "malformed"),
        (Answer(fault="close"), "connection"),
        (Answer(fault="hang"), "timeout"),
        (Answer(usage=False), "no usage"),
        (Answer(usage_tokens=2), "token mismatch"),
    ],
)
def test_each_fault_has_its_counted_outcome(answer, outcome):
    def answers(number, _body):
        return Answer(0.01, 0.002) if number < 3 or number % 2 else answer

    with ScriptedServer(answers) as server:
        seconds = 0.5 if outcome == "timeout" else 60.0
        found = counted(server, {"concurrency": 2}, iterations=8, request_timeout=seconds)
    assert {each.outcome for each in found.load.requests} == {"ok", outcome}
    assert found.inferences == sum(each.ok for each in found.load.requests)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(events_per_packet=3),
        Answer(split=True),
        Answer(comments=True),
        Answer(crlf=True, space=False),
        Answer(tokens_per_event=2),
        Answer(reasoning_tokens=5),
        Answer(fault="no done"),
        Answer(cached_tokens=12),
    ],
)
def test_every_form_of_a_stream_has_its_exact_tokens(answer):
    with ScriptedServer([answer]) as server:
        found = counted(server, {"concurrency": 1})
    assert {(each.outcome, each.input_tokens, each.output_tokens) for each in found.load.requests} == {("ok", 40, 8)}
    assert {each.cached_tokens for each in found.load.requests} == {answer.cached_tokens}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_without_a_stream_there_are_no_times_of_tokens(api):
    with ScriptedServer([STEADY]) as server:
        found = counted(server, {"concurrency": 1}, stream=False, api=api)
        assert server.served[-1].body["stream"] is False
    assert {(each.outcome, each.output_tokens, each.first_ns) for each in found.load.requests} == {("ok", 8, None)}
    assert found.step_seconds == ()


def test_embeddings_have_input_tokens_only():
    with ScriptedServer([STEADY]) as server:
        found = counted(server, {"concurrency": 2}, api="embeddings")
        assert server.served[-1].path == "/v1/embeddings"
    assert {(each.outcome, each.input_tokens, each.output_tokens) for each in found.load.requests} == {("ok", 40, None)}


def test_the_load_ends_before_the_window_is_reported(steady):
    with loaded(steady) as (process, _):
        process.prepare({"concurrency": 4})
        process.measure("serving", 0.2, 1)
        served = len(steady.served)
        process.measure("serving", 0.0, 1)
        assert all(each.end_ns for each in steady.served[:served])
