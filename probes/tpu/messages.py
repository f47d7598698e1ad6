"""Encodes the request and decodes the reply of the TPU runtime's metrics, in the wire format of protocol buffers.

Message: `MetricResponse { TPUMetric metric = 1 }`, `TPUMetric { repeated Metric metrics = 3 }`, `Metric { Attribute
attribute = 1; Gauge gauge = 3 }`, `Attribute { AttrValue value = 2 }`, `AttrValue { int64 int_attr = 3 }`, `Gauge {
double as_double = 1; int64 as_int = 2 }` (service tpu.monitoring.runtime.RuntimeMetricService, as of tpu-info 0.14).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_DEVICES = 4096
_LONGEST_VARINT = 10
_MASK = (1 << 64) - 1


def request(metric: str) -> bytes:
    """Return the request for a metric: `MetricRequest { string metric_name = 1 }`."""
    name = metric.encode()
    return bytes((_tag(1, _BYTES), len(name))) + name


def gauges(reply: bytes) -> dict[int, float]:
    """Return the value of each device by its number; an entry without a gauge or a device is left out.

    Raises ValueError if the reply is not in the wire format.
    """
    found: dict[int, float] = {}
    for metric in _messages(reply, 1):
        for entry in _messages(metric, 3):
            devices = [
                number
                for attribute in _messages(entry, 1)
                for value in _messages(attribute, 2)
                for field, number in _fields(value)
                if field == _tag(3, _VARINT) and isinstance(number, int) and number < _MOST_DEVICES
            ]
            values = [number for gauge in _messages(entry, 3) for number in _numbers(gauge)]
            if len(devices) == 1 and len(values) == 1:
                found[devices[0]] = values[0]
    return found


def _numbers(gauge: bytes) -> Iterator[float]:
    for field, value in _fields(gauge):
        if field == _tag(1, _FIXED64) and isinstance(value, bytes):
            yield struct.unpack("<d", value)[0]
        elif field == _tag(2, _VARINT) and isinstance(value, int):
            yield float(value)


def _messages(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the messages in one field."""
    for field, value in _fields(message):
        if field == _tag(number, _BYTES) and isinstance(value, bytes):
            yield value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the tag and the value of each field: an integer, or the bytes of a number or a message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield tag, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError(f"a field of type {wire} at byte {at} of {len(message)} is cut short or unknown")
        yield tag, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the integer at a place, and the place after it."""
    number = 0
    for position in range(_LONGEST_VARINT):
        if at + position >= len(message):
            break
        byte = message[at + position]
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the highest bit announces another byte
            return number & _MASK, at + position + 1
    raise ValueError(f"an integer at byte {at} of {len(message)} does not end")


def _tag(number: int, wire: int) -> int:
    return number << 3 | wire
