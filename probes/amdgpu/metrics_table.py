"""Decodes `gpu_metrics`, the binary table of AMD's GPU driver.

Source of the layouts: the kernel's drivers/gpu/drm/amd/include/kgd_pp_interface.h. A field that the firmware does not
fill has all bits set. Formats 1.0 and 2.0 are not aligned, and 1.9 has no fixed layout: neither is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 8192
"""More than the largest table."""
JOULE = 65536
"""Steps of the energy accumulator in a joule: one step is 2^-16 J, 15.259 uJ."""
LIMITS = ("prochot", "power-cap", "thermal", "thermal-regulator", "thermal-memory")
"""The reasons for which the firmware of MI300 and later counts the time of reduced clocks."""
_V1_3 = 120
_HEADER = struct.Struct("<HBB")
_MISSING = {"H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}


@dataclass(frozen=True, slots=True)
class Layout:
    """The sizes of one format in bytes, and the offset and type (`struct`) of each field that it has.

    Powers count in `watt` steps a watt. `limited` is the offset of the counters of reduced clocks, after the counter of
    all cycles; 0 if there are none.
    """

    sizes: tuple[int, ...]
    clock: int
    watt: int = 1
    power: tuple[int, str] | None = None
    graphics_power: tuple[int, str] | None = None
    activity: int | None = None
    energy: int | None = None
    throttle: int | None = None
    limited: int = 0


@dataclass(frozen=True, slots=True)
class MetricsTable:
    """The fields of one table, None for each that is absent.

    `energy` counts in steps of 2^-16 J. `clock_ns` is the driver's time of the table. `power` and `graphics_power` are
    those of the socket and of its graphics in watts, `activity` is the busy share of the graphics engine, 0 to 1.
    `throttle` is the mask of reasons whose bits are the same for all chips. `cycles` counts the firmware's cycles, and
    `limited` those with reduced clocks for each of `LIMITS`.
    """

    format: tuple[int, int]
    clock_ns: int | None = None
    energy: int | None = None
    power: float | None = None
    graphics_power: float | None = None
    activity: float | None = None
    throttle: int | None = None
    cycles: int | None = None
    limited: tuple[int | None, ...] = ()


def _discrete(size: int) -> Layout:
    return Layout((size,), clock=32, power=(22, "H"), activity=16, energy=24, throttle=112 if size == _V1_3 else None)


LAYOUTS: Mapping[tuple[int, int], Layout] = {
    (1, 1): _discrete(96),
    (1, 2): _discrete(104),
    (1, 3): _discrete(_V1_3),
    (1, 4): Layout((288,), clock=32, power=(10, "H"), activity=12, energy=24),
    (1, 5): Layout((360,), clock=96, power=(10, "H"), activity=12, energy=88),
    (1, 6): Layout((1664,), clock=24, power=(10, "H"), activity=12, energy=16, limited=32),
    (1, 7): Layout((2208,), clock=32, power=(10, "H"), activity=12, energy=24, limited=40),
    # Kernels differ in the size of the statistics of its partitions, which follow these fields.
    (1, 8): Layout((3360, 3872), clock=32, power=(10, "H"), activity=12, energy=24, limited=40),
    # The units of power in 2.1 to 2.3, and of activity in all of 2 and 3, depend on the firmware.
    (2, 1): Layout((120,), clock=32),
    (2, 2): Layout((128,), clock=32, throttle=120),
    (2, 3): Layout((152,), clock=32, throttle=120),
    (2, 4): Layout((168,), clock=32, watt=1000, power=(40, "H"), graphics_power=(46, "H"), throttle=120),
    (3, 0): Layout((264,), clock=104, watt=1000, power=(112, "I"), graphics_power=(124, "I")),
}


def decode(raw: bytes) -> MetricsTable | None:
    """Return the fields of a table; None if its format or size is unknown, or if it is truncated."""
    if len(raw) < _HEADER.size:
        return None
    size, table_format, revision = _HEADER.unpack_from(raw)
    layout = LAYOUTS.get((table_format, revision))
    if layout is None or size not in layout.sizes or len(raw) < size:
        return None
    power, graphics = (_number(raw, field) for field in (layout.power, layout.graphics_power))
    activity = None if layout.activity is None else _number(raw, (layout.activity, "H"))
    return MetricsTable(
        (table_format, revision),
        _number(raw, (layout.clock, "Q")),
        None if layout.energy is None else _number(raw, (layout.energy, "Q")),
        None if power is None else power / layout.watt,
        None if graphics is None else graphics / layout.watt,
        None if activity is None else activity / 100,
        None if layout.throttle is None else _number(raw, (layout.throttle, "Q")),
        *_limited(raw, layout.limited),
    )


def _limited(raw: bytes, start: int) -> tuple[int | None, tuple[int | None, ...]]:
    if not start:
        return None, ()
    counts = tuple(_number(raw, (start + 4 * position, "I")) for position in range(1 + len(LIMITS)))
    return counts[0], counts[1:]


def _number(raw: bytes, field: tuple[int, str] | None) -> int | None:
    """Return an unsigned field in little endian, None if all of its bits are set."""
    if field is None:
        return None
    offset, code = field
    (value,) = struct.unpack_from(f"<{code}", raw, offset)
    return None if value == _MISSING[code] else int(value)
