"""Lists of CPUs in the kernel's format, such as `0-3,8` (Documentation/admin-guide/cputopology.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


def cpu_list(cpus: Iterable[int]) -> str:
    """Return the numbers of CPUs as the kernel lists them."""
    ranges: list[tuple[int, int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], cpu
        else:
            ranges.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the numbers in a list of the kernel, in rising order. Raises ValueError."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        match = _RANGE.fullmatch(part.strip())
        if not match:
            raise ValueError(f"{part!r} is not a number or a range such as 0-3")
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(numbers))
