"""The rotations of rotary positions, the same for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The ratio of the fastest to the slowest rotation in RoFormer (Su et al. 2021, section 3.2.2).
_ROTARY_BASE = 10_000.0


def rotation_angles(positions: int, head_width: int) -> NDArray[np.float64]:
    """Return the rotation angle of each pair at each position in radians: [positions, head_width / 2]."""
    pairs = np.arange(head_width // 2) * 2 / head_width
    return np.outer(np.arange(positions), _ROTARY_BASE**-pairs)
