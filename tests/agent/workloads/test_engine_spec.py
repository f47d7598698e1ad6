import pytest

from agent.workloads.engine_spec import EngineSpec


def test_an_engine_of_unknown_provider_or_negative_threads_is_refused():
    with pytest.raises(ValueError, match="--provider: 'tpu' is not one of auto, cpu, cuda"):
        EngineSpec(provider="tpu")
    with pytest.raises(ValueError, match="--threads: -1 is out of range"):
        EngineSpec(threads=-1)
