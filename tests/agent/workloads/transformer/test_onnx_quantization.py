"""The quantized matrices, taken apart again."""

import pytest

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
quantization = pytest.importorskip(
    "agent.workloads.transformer.onnx_quantization", reason="the onnx extra is not installed"
)


def matrix(rows, columns):
    return np.random.default_rng(3).standard_normal((rows, columns), np.float32)


def test_int8_columns_differ_from_the_matrix_by_half_a_step_at_most():
    values = matrix(40, 5000)
    codes, scales = quantization.int8_columns(values)
    assert codes.dtype == np.int8
    assert np.abs(codes).max() == 63
    assert (np.abs(codes * scales - values) <= 0.501 * scales).all()


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 96])
def test_int4_blocks_differ_from_the_matrix_by_half_a_step_at_most(rows):
    values = matrix(rows, 4099)
    packed, scales = quantization.int4_blocks(values)
    blocks = -(-rows // 32)
    assert (packed.shape, packed.dtype, scales.shape) == ((4099, blocks, 16), np.uint8, (4099, blocks))
    codes = np.stack([packed & 15, packed >> 4], axis=3).reshape(4099, blocks, 32).astype(int) - 8
    restored = (codes * scales[:, :, None]).reshape(4099, -1).T
    steps = np.repeat(scales.T, 32, axis=0)[:rows]
    assert (np.abs(restored[:rows] - values) <= 0.501 * steps).all()
    assert not restored[rows:].any()


def test_a_matrix_of_zeros_stays_zero():
    zeros = np.zeros((8, 2), np.float32)
    assert not quantization.int8_columns(zeros)[0].any()
    assert (quantization.int4_blocks(zeros)[0] == 0x88).all()


@pytest.mark.parametrize(
    ("lowest", "highest", "zero"), [(-1.0, 3.0, 64), (0.0, 2.0, 0), (1.0, 2.0, 0), (-3.0, -1.0, 255), (0.0, 0.0, 0)]
)
def test_a_range_of_activations_contains_zero_exactly(lowest, highest, zero):
    scale, found = quantization.uint8_range(lowest, highest)
    assert found == zero
    assert scale > 0
    assert (255 - zero) * scale >= highest - scale / 2
    assert -zero * scale <= lowest + scale / 2
