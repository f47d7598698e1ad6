"""The replies of a worker to its commands, in this process."""

import io

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import CANNOT_RUN, WorkloadError, as_workload_error
from agent.workloads.runner import worker as child
from agent.workloads.runner.protocol import (
    Checked,
    Measure,
    Prepare,
    Stop,
    check_command,
    encode,
    load_command,
)
from agent.workloads.transformer.spec import TransformerSpec

pytest.importorskip("agent.workloads.engines.onnxruntime", reason="the onnx extra is not installed")

TINY = TransformerSpec(layers=1, width=16, heads=2, vocabulary=32, prompt_tokens=4, output_tokens=3)
ENGINE = EngineSpec(device="cpu", threads=1)


def served(*commands):
    replies = io.BytesIO()
    child.serve([encode(command) for command in commands], replies)
    return replies.getvalue()


def test_commands_before_load_and_after_stop_do_nothing():
    assert served(Stop(), Prepare({"batch": 1})) == b""
    with pytest.raises(WorkloadError, match="got a command before its model"):
        served(Prepare({"batch": 1}))


def test_a_check_loads_nothing_and_refuses_a_device_that_is_not_installed():
    points = ({"batch": 1},)
    assert served(check_command(TINY, ENGINE, points)) == encode(Checked())
    with pytest.raises(WorkloadError, match="before its model"):
        served(check_command(TINY, ENGINE, points), Prepare({"batch": 1}))
    with pytest.raises(WorkloadError, match="--device cuda: this onnxruntime"):
        served(check_command(TINY, EngineSpec(device="cuda"), points))


def test_an_unknown_phase_is_reported_with_the_known_ones():
    load = load_command(TINY, ENGINE)
    with pytest.raises(WorkloadError, match="no phase 'inference'") as failure:
        served(load, Prepare({"batch": 1}), Measure("inference", 0.0, 1))
    assert failure.value.remedy == "the phases are: prefill, decode"
    with pytest.raises(WorkloadError) as failure:
        served(load, Measure("prefill", 0.0, 1))
    assert "none before a point is prepared" in failure.value.remedy


def test_a_batch_below_one_is_refused():
    with pytest.raises(WorkloadError, match="--batch: 0 is out of range"):
        served(load_command(TINY, ENGINE), Prepare({"batch": 0}))


@pytest.mark.parametrize(
    ("error", "message", "remedy"),
    [
        (MemoryError("Unable to allocate 3 TiB"), "running: out of memory (Unable to allocate 3 TiB)", "smaller batch"),
        (RuntimeError("std::bad_alloc"), "running: out of memory (std::bad_alloc)", "smaller batch"),
        (RuntimeError("CUDA out of memory"), "running: out of memory (CUDA out of memory)", "smaller batch"),
        (ValueError(), "running: ValueError: no details", CANNOT_RUN),
        (
            RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : bad\n  shape"),
            "running: RuntimeError: bad shape",
            CANNOT_RUN,
        ),
        (WorkloadError("known", "do this"), "known", "do this"),
    ],
)
def test_every_exception_becomes_one_line_with_a_remedy(error, message, remedy):
    said = as_workload_error(error, "running", CANNOT_RUN)
    assert said.message == message
    assert remedy in said.remedy
