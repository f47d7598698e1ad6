"""A Modbus server of pymodbus whose registers a test sets, stops and starts on one port."""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymodbus.pdu import ModbusPDU

_TABLES = {3: "holding", 4: "input"}
Registers = dict[tuple[str, int], list[int]]


def registers_of(form: str, value: float) -> list[int]:
    """Return the registers of a number, the highest first; `form` is that of struct."""
    content = struct.pack(f">{form}", value)
    return list(struct.unpack(f">{len(content) // 2}H", content))


class ModbusState:
    """A server, its registers by table and address, and all requests: unit, function, address, count."""

    def __init__(self, registers: Registers, *, rtu: bool) -> None:
        self.registers = registers
        self.requests: list[tuple[int, int, int, int]] = []
        self.hanging = False
        self._framer = FramerType.RTU if rtu else FramerType.SOCKET
        self.port = free_port()
        self.url = f"modbus{'+rtu' if rtu else ''}://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._server: ModbusTcpServer | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="modbus-server", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Listen, until `stop`."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)

    def stop(self) -> None:
        """Close every connection, and stop listening."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)

    def close(self) -> None:
        self.hanging = False
        try:
            self.stop()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _start(self) -> None:
        memory = SimData(0, count=65_536, values=0, datatype=DataType.REGISTERS)
        self._server = ModbusTcpServer(
            SimDevice(0, simdata=[memory], action=self._answer),
            framer=self._framer,
            address=("127.0.0.1", self.port),
            trace_pdu=self._record,
        )
        await self._server.serve_forever(background=True)

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server:
            await asyncio.sleep(0.05)  # connections of a moment ago become known to the server
            await server.shutdown()
        answering = asyncio.all_tasks() - {asyncio.current_task()}
        if answering:  # also a connection that was accepted a moment ago
            _, answering = await asyncio.wait(answering, timeout=1)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    def _record(self, is_answer: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not is_answer:
            self.requests.append((pdu.dev_id, pdu.function_code, pdu.address, pdu.count))
        return pdu

    async def _answer(
        self, code: int, first: int, address: int, count: int, memory: list[int], written: list[int] | None
    ) -> ExcCodes | None:
        """Fill the memory of a request; one that begins between two numbers, or writes, is refused."""
        while self.hanging:  # noqa: ASYNC110  the test is another thread
            await asyncio.sleep(0.02)
        found = self.registers.get((_TABLES.get(code, ""), address), [])
        if len(found) != count or written is not None:
            return ExcCodes.ILLEGAL_ADDRESS
        memory[address - first : address - first + count] = found
        return None


@contextmanager
def modbus(registers: Registers, *, rtu: bool = False) -> Iterator[ModbusState]:
    """Run a server; `rtu` is a gateway that passes on serial frames."""
    state = ModbusState(registers, rtu=rtu)
    state.start()
    try:
        yield state
    finally:
        state.close()
