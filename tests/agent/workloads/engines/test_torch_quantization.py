"""The matrices and devices that torchao can quantize for, without torchao."""

import re

import pytest

from agent.workloads.engines.torch_quantization import check_quantization
from agent.workloads.errors import WorkloadError

EVEN = [(256, 768), (896, 256)]
UNEVEN = [(256, 768), (256, 8190)]


@pytest.mark.parametrize("kind", ["cpu", "cuda", "xpu"])
def test_matrices_of_whole_groups_can_have_int4_on_each_kind_of_device(kind):
    check_quantization("int4", kind, EVEN)


def test_int8_takes_matrices_of_any_size():
    check_quantization("int8", "cpu", UNEVEN)


@pytest.mark.parametrize(
    ("precision", "kind", "matrices", "message", "remedy"),
    [
        ("int4", "cpu", UNEVEN, "multiples of 32, and one is 256 by 8190", "--vocabulary, or --precision int8"),
        ("int8", "hpu", EVEN, "not for hpu", "--precision bf16"),
        ("int8_static", "cpu", EVEN, "torch has only int8, int4", "another --engine"),
    ],
)
def test_a_precision_that_torchao_cannot_run_is_refused_with_another_one(precision, kind, matrices, message, remedy):
    with pytest.raises(WorkloadError, match=re.escape(message)) as failure:
        check_quantization(precision, kind, matrices)
    assert failure.value.message.startswith(f"--precision {precision}: ")
    assert remedy in failure.value.remedy
