"""The failures of OpenVINO, in its own words."""

import pytest

from agent.workloads.errors import OutOfMemoryError, WorkloadError, as_workload_error

_PLACES = (
    "Exception from src/inference/src/cpp/infer_request.cpp:224:\n"
    "Exception from src/plugins/intel_cpu/src/node.cpp:794:\n"
)


@pytest.mark.parametrize(
    "words",
    [
        "[CPU] Concat node with name 'v50' Check 'ptr' failed:\nFailed to allocate 8 bytes of memory",
        "[GPU] Exceeded max size of memory object allocation: requested 8 bytes, but the most is 4 bytes",
        "[GPU] clEnqueueNDRangeKernel, error code: -5 CL_OUT_OF_RESOURCES",
    ],
)
def test_a_lack_of_memory_loses_only_the_point(words):
    error = as_workload_error(RuntimeError(_PLACES + words), "running batch=8", "another engine")
    assert isinstance(error, OutOfMemoryError)
    assert "choose a smaller batch" in error.remedy
    assert "infer_request.cpp" not in error.message


def test_another_failure_has_the_words_of_the_engine_and_the_remedy_of_the_caller():
    error = as_workload_error(RuntimeError(_PLACES + "a dynamic shape"), "compiling", "another engine")
    assert type(error) is WorkloadError
    assert error.message.endswith("RuntimeError: a dynamic shape")
    assert error.remedy == "another engine"
