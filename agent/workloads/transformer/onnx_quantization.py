"""Quantizes weight matrices [inputs, outputs] and ranges of activations for ONNX Runtime's operators; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agent.workloads.transformer.sizes import INT4_BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Seven bits, because x86 without VNNI adds two 8-bit products in 16 bits, which 2 * 255 * 127 overflows.
_INT8_RANGE = 63
_INT4_RANGE, _INT4_ZERO = 7, 8
_UINT8_RANGE = 255
_MOST_COLUMNS = 4096
_TINY = float(np.finfo(np.float32).tiny)


def int8_columns(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the matrix in int8 and the scale of each column: symmetric, so zero is 0."""
    codes = np.empty(matrix.shape, np.int8)
    scales = np.empty(matrix.shape[1], np.float32)
    for part in _parts(len(scales)):
        columns = matrix[:, part]
        scales[part] = np.maximum(np.abs(columns).max(axis=0), _TINY) / _INT8_RANGE
        codes[:, part] = np.rint(columns / scales[part])
    return codes, scales


def int4_blocks(matrix: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the matrix in int4 as MatMulNBits reads it, and the scales of its blocks.

    [outputs, blocks, bytes] and [outputs, blocks]: a block is `INT4_BLOCK` inputs of one output, symmetric around 8,
    and a byte has the earlier input in its low half. The inputs are padded with zeros to whole blocks.
    """
    inputs, outputs = matrix.shape
    blocks = -(-inputs // INT4_BLOCK)
    packed = np.empty((outputs, blocks, INT4_BLOCK // 2), np.uint8)
    scales = np.empty((outputs, blocks), np.float32)
    for part in _parts(outputs):
        padded = np.pad(matrix[:, part].T, ((0, 0), (0, -inputs % INT4_BLOCK))).reshape(-1, blocks, INT4_BLOCK)
        scales[part] = np.maximum(np.abs(padded).max(axis=2), _TINY) / _INT4_RANGE
        codes = (np.rint(padded / scales[part, :, None]) + _INT4_ZERO).astype(np.uint8)
        packed[part] = codes[:, :, 0::2] | codes[:, :, 1::2] << 4
    return packed, scales


def _parts(columns: int) -> Iterator[slice]:
    """Yield the columns in parts, so that the temporary copies of a large matrix stay small."""
    return (slice(start, start + _MOST_COLUMNS) for start in range(0, columns, _MOST_COLUMNS))


def uint8_range(lowest: float, highest: float) -> tuple[float, int]:
    """Return the scale and the zero point with which uint8 covers a range of activations, widened to contain 0."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = max(highest - lowest, _TINY) / _UINT8_RANGE
    return scale, round(-lowest / scale)
