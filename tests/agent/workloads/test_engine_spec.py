import pytest

from agent.workloads.engine_spec import EngineSpec


def test_a_device_that_is_not_a_name_and_negative_threads_are_refused():
    for name in ("", "a b", "-x", "c" * 41):
        with pytest.raises(ValueError, match="is not the name of a device, such as cpu, cuda or cuda:1"):
            EngineSpec(device=name)
    assert EngineSpec(device="GPU.0").device == "GPU.0"
    with pytest.raises(ValueError, match="--threads: -1 is out of range"):
        EngineSpec(threads=-1)
