"""The choice of a device of PyTorch, without PyTorch."""

import re

import pytest

from agent.workloads.engines.torch_device import choose_device, offered_devices, provider_of
from agent.workloads.errors import WorkloadError

TWO_GPUS = offered_devices("cuda", 2)


def test_the_cpu_is_offered_before_each_accelerator():
    assert TWO_GPUS == ("cpu", "cuda:0", "cuda:1")
    assert offered_devices(None, 0) == ("cpu",)


@pytest.mark.parametrize(
    ("name", "offered", "chosen"),
    [
        ("auto", ("cpu",), "cpu"),
        ("auto", TWO_GPUS, "cuda:0"),
        ("auto", offered_devices("xpu", 1), "xpu:0"),
        ("cpu", TWO_GPUS, "cpu"),
        ("cuda", TWO_GPUS, "cuda:0"),
        ("cuda:1", TWO_GPUS, "cuda:1"),
        ("hpu", offered_devices("hpu", 1), "hpu:0"),
    ],
)
def test_a_device_is_chosen_by_the_name_that_torch_gives_it(name, offered, chosen):
    assert choose_device(name, offered, "2.13.0") == chosen


@pytest.mark.parametrize(
    ("name", "offered", "message", "remedy"),
    [
        ("cuda", ("cpu",), "torch 2.13.0 offers only cpu", "install the torch for cuda"),
        ("cuda:2", TWO_GPUS, "offers only cpu, cuda:0, cuda:1", "choose one of them"),
        ("xpu", TWO_GPUS, "offers only cpu, cuda:0, cuda:1", "or choose --device cuda:1"),
        ("rocm", TWO_GPUS, "offers only cpu, cuda:0, cuda:1", "choose --device cuda"),
        ("cpu:1", ("cpu",), "offers only cpu", "choose one of them"),
    ],
)
def test_a_device_that_torch_lacks_is_refused_with_those_that_it_offers(name, offered, message, remedy):
    with pytest.raises(WorkloadError, match=re.escape(message)) as failure:
        choose_device(name, offered, "2.13.0")
    assert failure.value.message.startswith(f"--device {name}: ")
    assert remedy in failure.value.remedy


def test_an_amd_gpu_is_rocm_although_torch_names_it_cuda():
    assert provider_of("cuda", "6.4") == "rocm"
    assert provider_of("cuda", None) == "cuda"
    assert provider_of("cpu", "6.4") == "cpu"
