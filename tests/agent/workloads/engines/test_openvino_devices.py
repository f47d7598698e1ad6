"""The choice of an OpenVINO device, without OpenVINO."""

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.engines.openvino_devices import check_used, chosen_device, computing_precision
from agent.workloads.errors import WorkloadError

ON_CPU = ("FP32", "INT8", "BIN", "EXPORT_IMPORT", "BF16")
ON_GPU = ("FP32", "BIN", "FP16", "INT8")


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        ("auto", ["CPU"], "CPU"),
        ("auto", ["CPU", "GPU"], "GPU"),
        ("auto", ["CPU", "GPU.0", "GPU.1"], "GPU"),
        ("auto", ["CPU", "NPU"], "CPU"),
        ("cpu", ["CPU", "GPU"], "CPU"),
        ("gpu.1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
        ("NPU", ["CPU", "NPU"], "NPU"),
    ],
)
def test_a_device_is_chosen_by_the_name_that_openvino_has_for_it(asked, available, chosen):
    assert chosen_device(EngineSpec(device=asked), available) == chosen


@pytest.mark.parametrize("asked", ["GPU", "NPU", "cuda", "GPU.1", "AUTO:CPU", "HETERO:GPU,CPU"])
def test_an_absent_device_is_refused_with_the_devices_that_there_are(asked):
    with pytest.raises(WorkloadError, match="no such device") as error:
        chosen_device(EngineSpec(device=asked), ["CPU"])
    assert error.value.remedy.startswith("choose one of CPU")


def test_threads_are_refused_for_a_device_that_has_none():
    assert chosen_device(EngineSpec(device="CPU", threads=2), ["CPU", "GPU"]) == "CPU"
    with pytest.raises(WorkloadError, match="the device GPU has no threads"):
        chosen_device(EngineSpec(threads=2), ["CPU", "GPU"])


@pytest.mark.parametrize(("device", "used"), [("CPU", "CPU"), ("GPU", "GPU.0"), ("GPU.0", "GPU"), ("GPU.1", "GPU.1")])
def test_a_model_on_the_chosen_device_is_accepted(device, used):
    check_used(device, [used])


@pytest.mark.parametrize(
    ("device", "used"), [("GPU", ["CPU"]), ("GPU.1", ["GPU.0"]), ("GPU", ["GPU", "CPU"]), ("CPU", [])]
)
def test_a_model_on_another_device_is_an_error(device, used):
    with pytest.raises(WorkloadError, match=f"not on {device}"):
        check_used(device, used)


@pytest.mark.parametrize(
    ("stored", "capabilities", "computed"),
    [
        ("fp32", ON_CPU, "fp32"),
        ("bf16", ON_CPU, "bf16"),
        ("fp16", ON_CPU, "fp32"),
        ("fp16", ON_GPU, "fp16"),
        ("int8", ON_GPU, "fp32"),
        ("int4", ("FP16", "INT8"), "fp16"),
    ],
)
def test_weights_are_computed_in_a_precision_that_the_device_has(stored, capabilities, computed):
    assert computing_precision(stored, capabilities) == computed


@pytest.mark.parametrize(
    ("stored", "capabilities"), [("bf16", ON_GPU), ("fp32", ("FP16", "INT8")), ("int8_static", ON_CPU)]
)
def test_a_precision_that_the_device_lacks_is_refused_with_those_that_it_has(stored, capabilities):
    with pytest.raises(WorkloadError, match=f"--precision {stored}.*{capabilities[0]}"):
        computing_precision(stored, capabilities)
