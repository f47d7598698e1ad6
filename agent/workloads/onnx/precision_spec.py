"""The precisions of `--quantize`."""

from __future__ import annotations

ORIGINAL = "original"
QUANTIZED = ("fp16", "int8", "int8_static", "int4")


def parse_precisions(text: str) -> tuple[str, ...]:
    """Return the precisions in a list such as `int8,int4`, the original first. Raises ValueError."""
    found = [part.strip() for part in text.split(",")]
    for each in found:
        check_precision(each)
    return (ORIGINAL, *found)


def check_precision(precision: str) -> None:
    """Raise ValueError for an unknown precision."""
    if precision not in {ORIGINAL, *QUANTIZED}:
        raise ValueError(f"{precision!r} is not one of {', '.join(QUANTIZED)}")
