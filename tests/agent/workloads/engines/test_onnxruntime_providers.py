"""The execution providers of ONNX Runtime: the choice, the device, and the share of the CPU."""

from types import SimpleNamespace

import pytest

from agent.workloads.engines import onnxruntime_providers as providers
from agent.workloads.engines.onnxruntime_providers import CPU, CUDA, chosen
from agent.workloads.errors import WorkloadError

OPENVINO, TENSORRT = "OpenVINOExecutionProvider", "TensorrtExecutionProvider"
OFFERED = [TENSORRT, CUDA, OPENVINO, CPU]


def choose(given, device="auto", offered=OFFERED):
    return chosen(given, device, offered, "1.32.0")


@pytest.mark.parametrize(
    ("device", "offered", "expected"),
    [
        ("auto", [CPU], [(CPU, {})]),
        ("cpu", OFFERED, [(CPU, {})]),
        ("auto", OFFERED, [(CUDA, {"device_id": "0", "use_tf32": "0"}), (CPU, {})]),
        ("cuda:3", OFFERED, [(CUDA, {"device_id": "3", "use_tf32": "0"}), (CPU, {})]),
    ],
)
def test_without_providers_the_device_chooses(device, offered, expected):
    assert choose({}, device, offered) == expected


def test_providers_have_short_and_full_names_and_their_order_and_options_are_honored():
    given = {"tensorrt": {"device_id": "1"}, CUDA: {"device_id": "1"}, "CPU": {}}
    assert choose(given) == [(TENSORRT, {"device_id": "1"}), (CUDA, {"device_id": "1"}), (CPU, {})]


def test_an_unknown_provider_is_an_error_that_lists_those_offered():
    with pytest.raises(WorkloadError) as raised:
        choose({"rocm": {}}, offered=[CUDA, CPU])
    assert raised.value.message == (
        "--providers rocm: this onnxruntime 1.32.0 offers only cuda (CUDAExecutionProvider), cpu (CPUExecutionProvider)"
    )


@pytest.mark.parametrize(
    ("given", "device"),
    [({"cpu": {}}, "cpu"), ({"cuda": {"device_id": "1"}}, "cuda:1"), ({"cuda": {"device_id": "1"}}, "cuda")],
)
def test_a_device_that_agrees_with_the_providers_is_allowed(given, device):
    assert choose(given, device)


@pytest.mark.parametrize(
    ("given", "device"), [({"cpu": {}}, "cuda"), ({"cuda": {}}, "cuda:1"), ({"openvino": {}}, "cpu")]
)
def test_a_device_that_contradicts_the_providers_is_an_error(given, device):
    with pytest.raises(WorkloadError, match=f"--device {device} and --providers .* contradict each other"):
        choose(given, device)


@pytest.mark.parametrize("device", ["cuda:x", "gpu", "cuda:0:1", "CUDA"])
def test_an_unknown_device_is_an_error(device):
    with pytest.raises(WorkloadError, match="is not one of auto, cpu, cuda"):
        choose({}, device)


@pytest.mark.parametrize(
    ("provider", "reported", "device", "memory"),
    [
        (CPU, {}, "cpu", ("cpu", 0)),
        (CUDA, {"device_id": "2"}, "cuda:2", ("cuda", 2)),
        (TENSORRT, {"device_id": "0"}, "cuda:0", ("cuda", 0)),
        (OPENVINO, {"device_type": "GPU"}, "openvino:GPU", ("cpu", 0)),
        ("DnnlExecutionProvider", {}, "dnnl", ("cpu", 0)),
    ],
)
def test_the_device_is_the_one_that_the_engine_reports(provider, reported, device, memory):
    assert providers.device_of(provider, reported) == device
    assert providers.memory_of(provider, reported) == memory


def session(**operators):
    parts = [
        SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count) for name, count in operators.items()
    ]
    return SimpleNamespace(get_provider_graph_assignment_info=lambda: [*parts, *parts])


def test_the_share_of_the_cpu_is_that_of_the_operators_it_runs():
    counts = providers.operators_by_provider(session(CUDAExecutionProvider=3, CPUExecutionProvider=1))
    assert counts == {CUDA: 6, CPU: 2}
    assert providers.cpu_share(CUDA, counts) == 0.25
    assert providers.cpu_share(CUDA, {CUDA: 3}) == 0
    assert providers.cpu_share(CPU, counts) is None


def test_an_engine_that_records_no_assignment_has_no_share():
    assert providers.operators_by_provider(SimpleNamespace()) is None
    assert providers.cpu_share(CUDA, None) is None


@pytest.mark.parametrize(
    ("registered", "counts", "reason"),
    [
        ([CPU], None, "the engine could not start cuda"),
        ([CUDA, CPU], {CPU: 4}, "cuda runs no operator of this model (cpu runs 4)"),
    ],
)
def test_a_provider_that_takes_no_part_has_a_reason(registered, counts, reason):
    assert providers.unused([(CUDA, {}), (CPU, {})], registered, counts) == reason


@pytest.mark.parametrize("counts", [None, {}, {CUDA: 4}, {CUDA: 1, CPU: 3}])
def test_a_fallback_without_operators_is_no_error(counts):
    assert providers.unused([(CUDA, {}), (CPU, {})], [CUDA, CPU], counts) is None


def test_an_option_that_the_engine_ignores_is_an_error():
    with pytest.raises(WorkloadError, match="--providers cpu:threads: the engine ignores this option") as raised:
        providers.check_options([(CPU, {"threads": "1"})], {CPU: {}})
    assert raised.value.remedy == "cpu has no options"
    with pytest.raises(WorkloadError, match="cuda:device: ") as raised:
        providers.check_options([(CUDA, {"device": "1"})], {CUDA: {"device_id": "0"}, CPU: {}})
    assert raised.value.remedy == "the options of cuda are device_id"


def test_options_of_a_provider_that_reports_none_are_accepted():
    providers.check_options([(OPENVINO, {"device_type": "CPU"}), (CPU, {})], {OPENVINO: {}, CPU: {}})
    providers.check_options([(CUDA, {"device_id": "1"})], {CUDA: {"device_id": "1"}})
