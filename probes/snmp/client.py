"""Requests objects by SNMP 2c or SNMPv3 (authenticated and encrypted) with pysnmp."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyasn1.type.univ import Integer, OctetString
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as snmp

from probes.errors import ReadError
from probes.meters.secrets import secret
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.settings import MeterConfig
    from probes.snmp.pdus import Value

_PORT = 161
_TRY_SECONDS = 1.5
_RETRIES = 1
_REQUEST_SECONDS = 4.0
_LONGEST_TEXT = 128
_HASHES: Mapping[str, Any] = {
    "": snmp.USM_AUTH_HMAC96_SHA,
    "sha": snmp.USM_AUTH_HMAC96_SHA,
    "sha224": snmp.USM_AUTH_HMAC128_SHA224,
    "sha256": snmp.USM_AUTH_HMAC192_SHA256,
    "sha384": snmp.USM_AUTH_HMAC256_SHA384,
    "sha512": snmp.USM_AUTH_HMAC384_SHA512,
}


class SnmpClient:
    """The requests to one device; one thread at a time may use it."""

    def __init__(self, meter: MeterConfig) -> None:
        parts = urlsplit(meter.url)
        self._address = (parts.hostname or "", parts.port or _PORT)
        self._name = meter.url
        password = secret(meter.password_file)
        self._login = (
            snmp.UsmUserData(meter.user, password, password, _HASHES[meter.snmp_auth], snmp.USM_PRIV_CFB128_AES)
            if meter.user
            else snmp.CommunityData(password, mpModel=1)  # noqa: S508  many PDUs have no SNMPv3; a note at discovery names it
        )
        self._loop = asyncio.new_event_loop()
        self._engine = snmp.SnmpEngine()
        self._target: Any = None

    def get(self, objects: Sequence[str]) -> list[Value]:
        """Return the value of each object, in order, None for one that the device lacks. Raises ReadError."""
        try:
            return self._loop.run_until_complete(asyncio.wait_for(self._get(objects), _REQUEST_SECONDS))
        except TimeoutError:
            raise ReadError(f"{self._name} did not answer within {_REQUEST_SECONDS:g} s") from None
        except (PySnmpError, OSError) as error:
            raise ReadError(f"{self._name}: {one_line(str(error))}") from error

    def close(self) -> None:
        """Close the socket."""
        with suppress(RuntimeError):  # a request hangs in another thread
            self._loop.run_until_complete(self._close())
            self._loop.close()

    async def _close(self) -> None:
        self._engine.close_dispatcher()
        await asyncio.sleep(0)  # the loop closes the socket in its next round

    async def _get(self, objects: Sequence[str]) -> list[Value]:
        if self._target is None:
            transport = snmp.Udp6TransportTarget if ":" in self._address[0] else snmp.UdpTransportTarget
            self._target = await transport.create(self._address, timeout=_TRY_SECONDS, retries=_RETRIES)
        wanted = [snmp.ObjectType(snmp.ObjectIdentity(each)) for each in objects]
        failure, status, _, found = await snmp.get_cmd(
            self._engine, self._login, self._target, snmp.ContextData(), *wanted, lookupMib=False
        )
        if failure or status:
            raise ReadError(f"{self._name}: {one_line(str(failure or status.prettyPrint()))}")
        values = {str(name): _value(value) for name, value in found}
        return [values.get(each) for each in objects]


def _value(value: Any) -> Value:
    """Return an integer or a text of SNMP, None for an object that does not exist and for any other type."""
    if isinstance(value, (snmp.NoSuchObject, snmp.NoSuchInstance, snmp.EndOfMibView)):
        return None
    if isinstance(value, OctetString):
        return one_line(bytes(value)[:_LONGEST_TEXT].decode("utf-8", "replace"))
    return int(value) if isinstance(value, Integer) else None
