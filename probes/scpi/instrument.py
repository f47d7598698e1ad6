"""Queries one instrument with PyVISA."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyvisa
from pyvisa.constants import StatusCode

from probes.errors import ReadError
from probes.meters.probe import Quantity, Reading
from probes.meters.units import JOULES
from probes.scpi.answers import identity_in, number_in
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from probes.settings import MeterConfig

REFRESH_SECONDS = 1.0
LIBRARY = "@py"
"""PyVISA's own implementation of VISA, which needs no driver of a vendor."""
_PORT = 5025
_ANSWER_SECONDS = 2.0
_MOST_BYTES = 4096
_ENERGY_STEP = 1e-6
"""The assumed step of an energy integral, in its unit; analyzers print six digits or more."""


class Instrument:
    """One instrument at a raw socket. Only queries are sent, so its settings stay."""

    def __init__(
        self, meter: MeterConfig, library: str = LIBRARY, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._meter, self._clock = meter, clock
        parts = urlsplit(meter.url)
        self._visa = pyvisa.ResourceManager(library)
        self._place = f"TCPIP0::{parts.hostname}::{parts.port or _PORT}::SOCKET"
        self._session: Any = None
        self.reported = identity_in(self._ask("*IDN?"))
        refresh = meter.refresh_seconds or REFRESH_SECONDS
        self.interval_seconds = refresh
        self._joules = JOULES[meter.energy_unit or "Wh"]
        energy = Quantity("energy_joules", "counter", refresh, _ENERGY_STEP * self._joules)
        power = Quantity("power_watts", "average", refresh, 0.0)
        self.quantities = (energy, power) if meter.energy else (power,)

    def read(self) -> Reading:
        """Return the power and the energy. Raises ReadError."""
        sent_ns = self._clock()
        watts = number_in(self._ask(self._meter.power))
        energy = number_in(self._ask(self._meter.energy)) if self._meter.energy else None
        joules = None if energy is None else energy * self._joules
        return Reading(watts, joules, (sent_ns, self._clock()))

    def close(self) -> None:
        """Close the socket."""
        session, self._session = self._session, None
        if session:
            session.close()

    def _opened(self) -> Any:
        """Return the session, opened if it is not. Raises ReadError."""
        if self._session is None:
            milliseconds = round(_ANSWER_SECONDS * 1000)
            try:
                self._session = self._visa.open_resource(
                    self._place, open_timeout=milliseconds, timeout=milliseconds, write_termination="\n"
                )
                self._session.read_termination = "\n"
            except Exception as error:  # PyVISA-py raises Exception itself if it cannot connect
                raise ReadError(f"{self._meter.url}: {one_line(str(error))}") from error
        return self._session

    def _ask(self, query: str) -> str:
        """Return the line that answers a query. Raises ReadError, and closes the session: a late answer is lost."""
        try:
            return self._answer(query).decode("ascii", "replace").strip()
        except (pyvisa.Error, OSError) as error:
            self.close()
            raise ReadError(f"{self._meter.url} did not answer {query}: {one_line(str(error))}") from error
        except BaseException:
            self.close()
            raise

    def _answer(self, query: str) -> bytes:
        session = self._opened()
        session.write(query)
        answer = bytearray()
        while not answer.endswith(b"\n"):
            with session.ignore_warning(StatusCode.success_max_count_read):
                part, status = self._visa.visalib.read(session.session, _MOST_BYTES)
            answer += part
            if len(answer) >= _MOST_BYTES:
                raise ReadError(f"{self._meter.url} answered {query} with more than {_MOST_BYTES} bytes")
            if status == StatusCode.success:
                break
        return bytes(answer)


def connect(meter: MeterConfig) -> Instrument:
    """Return the source of an instrument. Raises ReadError."""
    return Instrument(meter)
