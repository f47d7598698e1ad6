"""The devices that a log of llama.cpp reports."""

from __future__ import annotations

import pytest

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.errors import WorkloadError
from agent.workloads.llama.placement import Placement, check_request, check_use, placement_in

CUDA = """llama_prepare_model_devices: using device CUDA0 (NVIDIA H100) (0000:01:00.0) - 79000 MiB free
llama_prepare_model_devices: skipping device X (Y) with id 1 - already using device CUDA0 (NVIDIA) with the same id
load_tensors: offloading 29 repeating layers to GPU
load_tensors: offloaded 31/31 layers to GPU
"""


def test_the_devices_and_layers_of_a_log_are_read():
    found = placement_in(CUDA)
    assert found == Placement(("CUDA0",), 31, 31)
    assert (found.device, found.provider, found.cpu_share) == ("CUDA0", "cuda", 0.0)


def test_a_partial_offload_states_the_share_of_the_cpu():
    assert placement_in(CUDA.replace("31/31", "8/32")).cpu_share == 0.75


def test_several_devices_are_joined():
    assert Placement(("Vulkan0", "Vulkan1"), 4, 4).device == "Vulkan0+Vulkan1"
    assert Placement(("Vulkan0", "Vulkan1"), 4, 4).provider == "vulkan"


@pytest.mark.parametrize("log", ["", "load_tensors: offloaded 0/31 layers to GPU", CUDA.replace("31/31", "0/31")])
def test_without_layers_on_a_device_the_cpu_runs_the_model(log):
    found = placement_in(log)
    assert (found.device, found.provider, found.cpu_share) == ("cpu", "cpu", None)


@pytest.mark.parametrize(
    ("device", "layers", "log"),
    [("CUDA1", -1, CUDA), ("CUDA0", -1, ""), ("auto", 8, ""), ("auto", 20, CUDA.replace("31/31", "8/32"))],
)
def test_a_requested_and_unused_device_is_an_error(device, layers, log):
    with pytest.raises(WorkloadError) as caught:
        check_use(placement_in(log), EngineSpec(device), layers, "install it")
    assert caught.value.remedy == "install it"


@pytest.mark.parametrize(
    ("device", "layers", "log"), [("CUDA0", -1, CUDA), ("auto", -1, ""), ("cpu", -1, ""), ("auto", 99, CUDA)]
)
def test_a_request_that_was_met_is_no_error(device, layers, log):
    check_use(placement_in(log), EngineSpec(device), layers, "")


@pytest.mark.parametrize(
    ("device", "layers"), [("CUDA0", 8), ("CUDA0", -1), ("auto", 8), ("auto", 0), ("cpu", 0), ("cpu", -1)]
)
def test_a_device_and_its_layers_are_requested_together(device, layers):
    check_request(EngineSpec(device), layers)


@pytest.mark.parametrize(("device", "layers"), [("cpu", 4), ("CUDA0", 0)])
def test_a_device_without_its_layers_is_refused(device, layers):
    with pytest.raises(WorkloadError, match="exclude each other"):
        check_request(EngineSpec(device), layers)
