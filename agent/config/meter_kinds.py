"""The kinds of meters: the URLs of each and the keys that it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST = r"(\[[0-9a-fA-F:.]+\]|[^\s/@#?\\:\[\]]+)(:[0-9]{1,5})?"
_TLS = ("user", "password_file", "ca_file", "fingerprint")
_VALUES = ("power", "energy", "energy_unit")
COMMON = (
    "name",
    "kind",
    "url",
    "host",
    "feeds",
    "refresh_seconds",
    "model",
    "accuracy_class",
    "range",
    "serial",
    "calibration_date",
)
"""The keys of every kind."""


@dataclass(frozen=True, slots=True)
class MeterKind:
    """One kind: its URL as a pattern and as an example, the keys that it uses, and those that it needs."""

    pattern: re.Pattern[str]
    example: str
    uses: tuple[str, ...]
    needs: tuple[str, ...] = ()


def _kind(
    schemes: str, example: str, uses: tuple[str, ...] = (), needs: tuple[str, ...] = (), path: str = r"/?"
) -> MeterKind:
    return MeterKind(re.compile(rf"({schemes})://{_HOST}{path}"), example, (*uses, *needs), needs)


_HTTP_PATH = r"(/[^\s@#?\\]*)?"
_SNMP = _kind("snmp", "snmp://pdu.example.org", ("part", "user", "snmp_auth"), ("password_file",))

KINDS: Mapping[str, MeterKind] = {
    "shelly": _kind("https?", "http://192.0.2.7", ("part", *_TLS), path=_HTTP_PATH),
    "tasmota": _kind("https?", "http://192.0.2.7", _TLS, path=_HTTP_PATH),
    "mqtt": _kind("mqtts?", "mqtts://broker.example.org:8883", ("preset", *_VALUES, *_TLS), ("topic",)),
    "redfish": _kind("https?", "https://bmc.example.org", ("part", *_TLS), path=_HTTP_PATH),
    "ipmi": MeterKind(
        re.compile(rf"local|ipmi://{_HOST}/?"), 'ipmi://bmc.example.org, or "local"', ("part", "user", "password_file")
    ),
    "apc": _SNMP,
    "raritan": _SNMP,
    "modbus": _kind(r"modbus(\+rtu)?", "modbus://192.0.2.7:502", ("part", "preset", *_VALUES)),
    "scpi": _kind("scpi", "scpi://192.0.2.7:5025", _VALUES, ("power",)),
    # Cards of this host whose measurement can disturb a running job, so that it is off unless it is configured.
    "hailo": MeterKind(re.compile(""), "none at all", ()),
}
