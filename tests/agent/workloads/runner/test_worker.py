"""Real children: the whole way from the spec to a measured window, and how it ends."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import OutOfMemoryError, WorkloadError
from agent.workloads.limits import Limits
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.runner.client import WORKER_COMMAND, WorkloadProcess
from agent.workloads.runner.protocol import (
    Failed,
    decode_reply,
    encode,
    load_command,
)
from agent.workloads.transformer.spec import TransformerSpec
from waiting import await_true

pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")

TINY = TransformerSpec(layers=1, width=16, heads=2, vocabulary=32, prompt_tokens=4, output_tokens=3)
ENGINE = EngineSpec(device="cpu", threads=1)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def failure_of(spec, engine=ENGINE, environment=None):
    with WorkloadProcess(environment=environment) as process, pytest.raises(WorkloadError) as failure:
        process.start(spec, engine)
    return failure.value


def test_a_transformer_is_loaded_prepared_and_measured_in_its_own_process(tmp_path):
    with WorkloadProcess(environment={**os.environ, "HOME": str(tmp_path)}) as process:
        ready = process.start(TINY, ENGINE)
        assert (ready.engine, ready.provider, ready.threads, ready.precision) == ("onnxruntime", "cpu", 1, "fp32")
        assert (ready.parameters, ready.model_bytes) == (TINY.parameter_count(), TINY.model_bytes())
        assert ready.sha256 is None
        assert ready.load_seconds > 0
        for batch in (1, 3):
            process.prepare({"batch": batch})
            before = time.monotonic_ns()
            prefill = process.measure("prefill", 0.1, 5)
            assert prefill.end_ns - prefill.start_ns >= 100_000_000
            assert before < prefill.start_ns < prefill.end_ns < time.monotonic_ns()
            assert prefill.inferences == batch * prefill.iterations
            assert prefill.input_tokens == 4 * batch * prefill.iterations
            assert prefill.step_seconds == ()
            decode = process.measure("decode", 0.0, 5)
            assert decode.iterations == len(decode.latencies_seconds) == 5
            assert decode.output_tokens == 2 * batch * 5
            assert len(decode.step_seconds) == 2 * 5
        pid = process.pid
    assert gone(pid)
    assert list(tmp_path.rglob("*")) == [], "the engine left something behind, such as the id its reports would bear"


def test_an_onnx_file_is_loaded_and_its_facts_are_reported(tmp_path):
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in "xy"]
    opset = onnx.helper.make_opsetid("", 17)
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    path = tmp_path / "fixed.onnx"
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    with WorkloadProcess() as process:
        ready = process.start(OnnxSpec(path), ENGINE)
        assert ready.phases == ("inference",)
        assert len(ready.sha256) == 64
        process.prepare({"batch": 1})
        measured = process.measure("inference", 0.0, 10)
        assert (measured.inferences, measured.input_tokens, measured.output_tokens) == (10, 0, 0)
        with pytest.raises(WorkloadError, match="--batch 2"):
            process.prepare({"batch": 2})


def test_a_missing_model_is_reported_with_a_remedy(tmp_path):
    failure = failure_of(OnnxSpec(tmp_path / "none.onnx"))
    assert failure.message == f"the model {tmp_path}/none.onnx does not exist"
    assert failure.remedy == "give the path of an .onnx file"


def test_a_folder_in_place_of_a_model_is_refused(tmp_path):
    assert failure_of(OnnxSpec(tmp_path)).message == f"the model {tmp_path} is a directory, not a file"


def test_a_corrupt_model_is_reported_with_a_remedy(tmp_path):
    path = tmp_path / "corrupt.onnx"
    path.write_bytes(b"this was never a model" * 9)
    failure = failure_of(OnnxSpec(path))
    assert failure.message == f"the file {path} is not an ONNX model, or it is truncated"
    assert "download it again" in failure.remedy


@pytest.mark.parametrize(("engine", "extra"), [("onnxruntime", "onnx"), ("torch", "torch")])
def test_an_engine_that_cannot_be_imported_is_reported_with_its_installation(tmp_path, engine, extra):
    (tmp_path / f"{engine}.py").write_text("raise ImportError('no engine here')")
    spec = dataclasses.replace(TINY, engine=engine)
    failure = failure_of(spec, environment={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert failure.message == "loading the model: the engine cannot be loaded: no engine here"
    assert failure.remedy == f"pip install 'inferometer[{extra}]'"


def test_cuda_without_a_cuda_engine_is_reported_with_a_remedy():
    failure = failure_of(TINY, EngineSpec(device="cuda"))
    assert failure.message.startswith("--device cuda: ")
    assert "--device cpu" in failure.remedy


def test_a_point_too_large_for_memory_is_reported_with_a_remedy():
    with WorkloadProcess() as process:
        process.start(TINY, ENGINE)
        with pytest.raises(OutOfMemoryError, match="out of memory") as failure:
            process.prepare({"batch": 1 << 20, "prompt_tokens": 1 << 20})
        assert failure.value.remedy == "choose a smaller batch or a smaller model"
        assert not failure.value.ended
        process.prepare({"batch": 1})


def test_a_corrupt_first_line_gives_one_failed_reply_and_no_traceback_on_the_output():
    result = subprocess.run(WORKER_COMMAND, input=b"{nonsense\n", capture_output=True, check=False, timeout=60)
    assert result.returncode == 1
    reply = decode_reply(result.stdout)
    assert isinstance(reply, Failed)
    assert reply.message.startswith("the workload process cannot read its command: JSON is malformed")


def test_a_child_ends_silently_when_its_input_closes():
    result = subprocess.run(WORKER_COMMAND, input=b"", capture_output=True, check=False, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_the_output_of_an_engine_does_not_reach_the_replies(tmp_path):
    (tmp_path / "onnxruntime.py").write_text(
        "import os\nprint('{\"reply\":', flush=True)\nos.write(1, b'noise')\nraise ImportError('after all')"
    )
    result = subprocess.run(
        WORKER_COMMAND,
        input=encode(load_command(TINY, ENGINE)),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert isinstance(decode_reply(result.stdout), Failed)
    assert b"noise" in result.stderr


def test_a_child_killed_while_it_measures_is_an_error():
    with WorkloadProcess() as process:
        process.start(TINY, ENGINE)
        process.prepare({"batch": 1})
        killer = f"import os, time; time.sleep(0.4); os.kill({process.pid}, 9)"
        with (
            subprocess.Popen([sys.executable, "-c", killer]),
            pytest.raises(WorkloadError, match="ended during 'measure' \\(killed by SIGKILL\\)"),
        ):
            process.measure("prefill", 60, 1)


PARENT = """
from agent.workloads.limits import Limits
from agent.workloads.runner.client import WorkloadProcess
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.transformer.spec import TransformerSpec
spec = TransformerSpec(layers=1, width=16, heads=2, vocabulary=32, prompt_tokens=4, output_tokens=3)
with WorkloadProcess() as process:
    process.start(spec, EngineSpec(device="cpu", threads=1))
    process.prepare({"batch": 1})
    print(process.pid, flush=True)
    process.measure("prefill", 60, 1)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_measuring_child_ends_with_its_parent(number):
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        assert not gone(pid)
        parent.send_signal(number)
        await_true(lambda: gone(pid), 30)  # the window lasts a minute
        parent.wait(60)


def test_a_child_has_no_new_privileges_and_no_core_file_and_is_the_first_victim_of_the_oom_killer():
    with WorkloadProcess() as process:
        process.start(TINY, ENGINE)
        proc = Path(f"/proc/{process.pid}")
        assert re.search(r"^NoNewPrivs:\s+1$", (proc / "status").read_text(), re.MULTILINE)
        assert re.search(r"^Max core file size\s+0\s+0\s", (proc / "limits").read_text(), re.MULTILINE)
        assert (proc / "oom_score_adj").read_text().strip() == "1000"
        assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid


def endless(path):
    """Save a model with a loop that never ends."""
    onnx = pytest.importorskip("onnx")
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    body = onnx.helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["w"])],
        "body",
        [value("i", 7, []), value("c", 9, []), value("v", 1, [1])],
        [value("d", 9, []), value("w", 1, [1])],
    )
    always = onnx.helper.make_tensor("always", 9, [], [True])
    loop = node("Loop", ["", "always", "x"], ["y"], body=body)
    graph = onnx.helper.make_graph([loop], "g", [value("x", 1, [1])], [value("y", 1, [1])], [always])
    opsets = [onnx.helper.make_opsetid("", 17)]
    path.write_bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def test_an_endless_model_is_ended_by_the_timeout_that_the_error_names(tmp_path):
    with WorkloadProcess(limits=Limits(60.0)) as process:
        process.start(OnnxSpec(endless(tmp_path / "m.onnx")), ENGINE)
        pid, process._limits = process.pid, Limits(1.0)
        with pytest.raises(WorkloadError) as failure:
            process.prepare({"batch": 1})
    assert failure.value.message == (
        "the model m.onnx did not finish running batch=1 once within 1 s, the limit of --timeout"
    )
    assert gone(pid)


def test_a_child_ignores_an_interrupt_of_its_parent():
    with WorkloadProcess() as process:
        process.start(TINY, ENGINE)
        os.kill(process.pid, signal.SIGINT)
        process.prepare({"batch": 1})
        assert process.measure("prefill", 0.0, 2).iterations == 2
