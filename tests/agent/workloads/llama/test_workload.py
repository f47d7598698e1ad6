"""GGUF files in a scripted llama-bench, from a real workload process, and the choice of the engine."""

from __future__ import annotations

import dataclasses
import json

import pytest

from agent.workloads.axes import at_point, request
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import OutOfMemoryError, WorkloadError
from agent.workloads.llama.engine import engine_of
from agent.workloads.llama.on_llama_bench import load
from agent.workloads.llama.spec import LlamaSpec, parse_models
from agent.workloads.llama.workload import check
from agent.workloads.parameter import settings_of
from agent.workloads.point import point_name, points_of
from agent.workloads.runner.client import WorkloadProcess
from command import ROOT
from gguf_files import small_file

PROGRAM = ROOT / "tests/scripted_llama_bench.py"
POINT = {"prompt_tokens": 64, "output_tokens": 4}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "m.Q8_0.gguf"
    path.write_bytes(small_file(7))
    return path


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "m.Q4_K_M.gguf"
    path.write_bytes(small_file(15))
    return path


def requested(*files, **given):
    return request(LlamaSpec, {"model": parse_models([str(each) for each in files]), "program": PROGRAM, **given})


@pytest.mark.system
def test_a_window_has_the_repetitions_and_neither_the_load_nor_the_warm_up(file):
    spec, _ = requested(file)
    with WorkloadProcess() as process:
        ready = process.start(spec, EngineSpec())
        prepared = process.prepare(POINT)
        found = process.measure("prefill", 0.3, 1)
        decoded = process.measure("decode", 0.0, 3)
    assert (ready.engine, ready.version, ready.threads) == ("llama-bench", "7777 (abc123)", 3)
    assert (ready.device, ready.precision, ready.parameters) == ("cpu", "Q8_0", 72)
    assert len(ready.sha256) == 64
    assert ready.load_seconds >= 0.05
    assert prepared.model is None
    assert found.iterations * 0.02 <= (found.end_ns - found.start_ns) / 1e9
    assert (found.end_ns - found.start_ns) / 1e9 >= 0.3
    assert found.input_tokens == 64 * found.iterations
    assert sum(found.latencies_seconds) == pytest.approx((found.end_ns - found.start_ns) / 1e9)
    assert (decoded.iterations, decoded.output_tokens, decoded.input_tokens) == (3, 12, 0)


@pytest.mark.system
def test_each_file_of_a_sweep_has_its_own_facts(file, other):
    spec, axes = requested(file, other)
    with WorkloadProcess() as process:
        process.start(spec, EngineSpec())
        models = [process.prepare(point).model for point in points_of(axes)]
    assert [each.precision for each in models] == ["Q8_0", "Q4_K_M"]
    assert models[0].load_start_ns < models[1].load_start_ns


@pytest.mark.system
def test_a_point_without_memory_is_lost_and_the_next_one_runs(file, monkeypatch):
    monkeypatch.setenv("SCRIPTED_LARGEST", "1000")
    with WorkloadProcess() as process:
        process.start(requested(file)[0], EngineSpec())
        with pytest.raises(OutOfMemoryError, match="failed to allocate CPU buffer"):
            process.prepare({**POINT, "prompt_tokens": 2048})
        process.prepare(POINT)
        assert process.measure("decode", 0.0, 1).iterations == 1


def test_a_llama_bench_without_reports_of_its_progress_is_refused(file, monkeypatch):
    monkeypatch.setenv("SCRIPTED_OLD", "1")
    with pytest.raises(WorkloadError, match="did not report its repetitions") as caught:
        load(requested(file)[0], EngineSpec())
    assert caught.value.remedy == "install a newer llama.cpp"


def test_a_device_that_llama_bench_does_not_use_is_an_error(file, monkeypatch):
    monkeypatch.setenv("SCRIPTED_LOG", "load_tensors: offloaded 0/31 layers to GPU\n")
    with pytest.raises(WorkloadError, match="--device CUDA0: the model was loaded on cpu instead"):
        load(requested(file)[0], EngineSpec("CUDA0"))


def test_llama_bench_refuses_several_requests_at_once(file):
    with pytest.raises(WorkloadError, match="one request at a time"):
        check(requested(file, batch=(4,))[0], EngineSpec(), ())


def test_a_program_that_does_not_exist_is_named(file, tmp_path):
    missing = dataclasses.replace(requested(file)[0], program=tmp_path / "absent")
    with pytest.raises(WorkloadError, match="cannot be started"):
        load(missing, EngineSpec())


def test_a_file_of_another_format_is_refused_before_it_is_loaded(tmp_path):
    wrong = tmp_path / "m.gguf"
    wrong.write_bytes(b"PK\3\4 an archive")
    with pytest.raises(WorkloadError, match="it is not a GGUF file"):
        check(requested(wrong)[0], EngineSpec(), ())


def test_one_file_of_several_is_refused_with_its_remedy(tmp_path):
    part = tmp_path / "m-00001-of-00003.gguf"
    part.write_bytes(small_file(**{"split.count": 3}))
    with pytest.raises(WorkloadError, match="one of 3 files") as caught:
        check(requested(part)[0], EngineSpec(), ())
    assert "--merge" in caught.value.remedy


def test_a_sweep_over_files_has_points_with_their_names(file, other):
    spec, axes = requested(f"{file},{other}", prompt_tokens=(64, 128))
    points = points_of(axes)
    assert point_name(points[0]) == "model=m.Q8_0.gguf prompt_tokens=64"
    assert len(points) == 4
    assert at_point(spec, points[-1]).path == other
    assert settings_of(spec)["model"] == ["m.Q8_0.gguf", "m.Q4_K_M.gguf"]


def test_one_file_is_a_setting_and_no_part_of_a_point(file):
    spec, axes = requested(file)
    assert list(axes) == ["prompt_tokens"]
    assert settings_of(spec)["model"] == "m.Q8_0.gguf"
    assert str(file.parent) not in json.dumps(settings_of(spec))


def test_a_file_with_a_comma_in_its_name_is_one_file(tmp_path):
    path = tmp_path / "a,b.gguf"
    path.write_bytes(small_file())
    assert list(parse_models([str(path)])) == ["a,b.gguf"]


def test_two_files_of_one_name_are_refused(file, tmp_path):
    (tmp_path / "x").mkdir()
    double = tmp_path / "x" / file.name
    double.write_bytes(small_file())
    with pytest.raises(ValueError, match="two files are named"):
        parse_models([str(file), str(double)])


def test_without_a_file_the_option_is_named():
    with pytest.raises(ValueError, match="--model: give the path"):
        LlamaSpec()


@pytest.mark.parametrize(
    ("given", "module", "program", "chosen"),
    [
        ({}, True, True, "llama-cpp-python"),
        ({}, False, True, "llama-bench"),
        ({"program": PROGRAM}, True, False, "llama-bench"),
        ({"engine": "llama-cpp-python"}, False, False, "llama-cpp-python"),
    ],
)
def test_the_engine_is_the_requested_one_or_one_that_is_installed(file, given, module, program, chosen):
    spec, _ = request(LlamaSpec, {"model": parse_models([str(file)]), **given})
    assert engine_of(spec, lambda _: module or None, lambda _: program) == chosen


def test_without_an_engine_the_error_names_the_extra(file):
    spec, _ = request(LlamaSpec, {"model": parse_models([str(file)])})
    with pytest.raises(WorkloadError) as caught:
        engine_of(spec, lambda _: None, lambda _: None)
    assert "inferometer[llama]" in caught.value.remedy
