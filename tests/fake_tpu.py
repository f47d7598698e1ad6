"""A fake of the TPU runtime's metrics: a gRPC server on loopback that answers as the test specifies."""

from __future__ import annotations

import struct
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

SERVICE = "tpu.monitoring.runtime.RuntimeMetricService"
BUSY, USED, TOTAL = (
    "tpu.runtime.tensorcore.dutycycle.percent",
    "tpu.runtime.hbm.memory.usage.bytes",
    "tpu.runtime.hbm.memory.total.bytes",
)


def varint(number: int) -> bytes:
    """Encode an integer of 64 bits."""
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out, number = out + bytes((number & 0x7F | 0x80,)), number >> 7
    return out + bytes((number,))


def message(number: int, content: bytes) -> bytes:
    """Encode a message, or a text, in the field `number`."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def gauge(value: float) -> bytes:
    """Encode a gauge: an integer as such, another number as a double."""
    return varint(2 << 3) + varint(value) if isinstance(value, int) else varint(1 << 3 | 1) + struct.pack("<d", value)


def reply(metric: str, values: dict[int, float]) -> bytes:
    """Encode a reply with the value of each device, as the runtime does, with its time stamps and texts."""
    entries = b"".join(
        message(
            3,
            message(1, message(1, b"device-id") + message(2, varint(3 << 3) + varint(device)))
            + message(2, varint(1 << 3) + varint(1_790_000_000))
            + message(3, gauge(value)),
        )
        for device, value in values.items()
    )
    return message(1, message(1, metric.encode()) + message(2, b"a description") + entries)


class FakeTpu:
    """The server; `values` are the values by metric and device, `status` an error of every call.

    `replies` are literal replies by metric; every call takes `seconds`.
    """

    def __init__(self) -> None:
        self.values: dict[str, dict[int, float]] = {}
        self.status: grpc.StatusCode | None = None
        self.replies: dict[str, bytes] = {}
        self.seconds = 0.0
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"GetRuntimeMetric": handler}),)
        )
        self.port = self._server.add_insecure_port("localhost:0")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        metric = request[2:].decode()
        assert request == message(1, metric.encode())
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and self.seconds and context.is_active():
            time.sleep(0.01)
        if self.status:
            context.abort(self.status, "no such metric")
        return self.replies.get(metric, reply(metric, self.values.get(metric, {})))
