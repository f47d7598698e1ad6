"""The option --providers: names and options of execution providers, in order."""

import pytest

from agent.workloads.onnx.provider_spec import check_providers, parse_providers, shown_providers


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["cpu"], [("cpu", {})]),
        (["cuda,cpu"], [("cuda", {}), ("cpu", {})]),
        (["cuda", "cpu"], [("cuda", {}), ("cpu", {})]),
        (["CUDAExecutionProvider:device_id=1,cpu"], [("CUDAExecutionProvider", {"device_id": "1"}), ("cpu", {})]),
        (["cuda:device_id=1, gpu_mem_limit=9,cpu"], [("cuda", {"device_id": "1", "gpu_mem_limit": "9"}), ("cpu", {})]),
        (["tensorrt:cache=/a:b=c,cuda"], [("tensorrt", {"cache": "/a:b=c"}), ("cuda", {})]),
        ([r"tensorrt:min=x:1x3\,y:1x2,max=z"], [("tensorrt", {"min": "x:1x3,y:1x2", "max": "z"})]),
        (["openvino:device_type="], [("openvino", {"device_type": ""})]),
    ],
)
def test_providers_are_read_with_their_options_in_the_order_given(texts, expected):
    assert list(parse_providers(texts).items()) == expected
    check_providers(parse_providers(texts))


@pytest.mark.parametrize(
    "text", ["", ",", "cuda,", "device_id=1", "cuda:", "cuda:device_id", "cuda:=1", "cuda cpu", "1x", "cuda::a=1"]
)
def test_anything_else_is_an_error_with_an_example(text):
    with pytest.raises(ValueError, match=r"--providers .*write cuda,cpu or cuda:device_id=1"):
        parse_providers([text])


def test_a_provider_that_is_given_twice_is_an_error():
    with pytest.raises(ValueError, match="cuda is given twice"):
        parse_providers(["cuda,cpu", "cuda:device_id=1"])


def test_a_spec_with_an_impossible_name_is_refused():
    with pytest.raises(ValueError, match="--providers a b: write"):
        check_providers({"a b": {}})


def test_a_profile_shows_providers_without_the_paths_in_their_options():
    providers = parse_providers(["tensorrt:trt_engine_cache_path=/home/me/cache,device_id=1,cpu"])
    assert shown_providers(providers) == ["tensorrt:trt_engine_cache_path=...:device_id=1", "cpu"]
