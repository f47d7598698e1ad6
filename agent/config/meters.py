"""The settings of `[[meters]]`: wall meters, smart plugs, BMCs, PDUs and bench meters outside of the host."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.config import value_types as types
from agent.config.errors import ConfigError
from agent.config.meter_kinds import COMMON, KINDS
from agent.config.setting import Setting, Table
from agent.runtime.addresses import is_loopback, parse_address, refusal
from agent.runtime.text_input import quoted
from probes.meters.units import JOULES
from probes.settings import MeterConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_METERS = 256
"""The largest number of entries: two feeds of each host of several racks."""
FEEDS = ("host", "supply", "rack")
SNMP_AUTH = ("sha", "sha224", "sha256", "sha384", "sha512")
_PLACES: Mapping[str, str] = {
    "mqtt": "probes.mqtt.messages",
    "modbus": "probes.modbus.registers",
    "scpi": "probes.scpi.answers",
}
"""The module that reads the places of values, for each kind that has them; most files have no meters."""
_METADATA = "169.254.169.254"
_FASTEST_SECONDS, _SLOWEST_SECONDS = 0.1, 3600.0


def _matching(pattern: str, value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError
    return value


def _one_of(names: Iterable[str]) -> types.ValueType:
    pattern = "|".join(map(re.escape, names))
    return types.ValueType(f"one of {', '.join(names)}", lambda value: _matching(f"({pattern})?", value))


def _refresh(value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not _FASTEST_SECONDS <= value <= _SLOWEST_SECONDS
    ):
        raise ValueError
    return float(value)


def _date(value: object) -> str:
    if isinstance(value, str) and value:
        value = date.fromisoformat(value)
    if value != "" and type(value) is not date:
        raise ValueError
    return str(value)


_NAME = types.ValueType(
    "a name of 1 to 64 letters, digits, dots and dashes",
    lambda value: _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value),
)
_URL = types.ValueType('a URL without a user, such as "http://192.0.2.7"', lambda value: _matching(r"[!-~]*", value))
_LINE = types.ValueType(
    "a printable text of at most 256 characters", lambda value: _matching(r"[^\x00-\x1f\x7f]{0,256}", value)
)
_HOST_NAME = types.ValueType("the name of a host", lambda value: _matching(r"[0-9A-Za-z._-]{0,253}", value).lower())
_FINGERPRINT = types.ValueType(
    "a SHA-256 in 64 hexadecimal digits",
    lambda value: _matching(r"([0-9a-f]{64})?", str(value).replace(":", "").lower()),
)
_REFRESH = types.ValueType(f"a number of seconds from {_FASTEST_SECONDS:g} to {_SLOWEST_SECONDS:g}", _refresh)
_DATE = types.ValueType('a date such as "2026-01-31"', _date)

METERS = Table(
    "meters",
    (
        Setting(
            "name",
            _NAME,
            "",
            "Name of the meter; its device is meter-NAME.",
            default_text="required",
            example="desk",
        ),
        Setting(
            "kind",
            _one_of(KINDS),
            "",
            f"Kind of the meter: {', '.join(KINDS)}.",
            "shelly and tasmota are smart plugs, redfish and ipmi the BMC of a server, apc and raritan PDUs over SNMP, "
            "scpi bench meters, and hailo the Hailo cards of this host. docs/meters.md has an entry for each.",
            default_text="required",
            example="shelly",
        ),
        Setting(
            "url",
            _URL,
            "",
            "Address of the meter, of the broker for mqtt, or of the gateway for modbus.",
            "The schemes are http and https (shelly, tasmota, redfish), mqtt and mqtts, snmp (apc, raritan), modbus, "
            "modbus+rtu for a gateway that passes on serial frames, scpi for a raw socket, and ipmi; "
            '"local" is this host\'s own BMC by ipmi. Redirects are not followed, and proxy variables have no effect.',
            default_text="required",
            example="http://192.0.2.7",
        ),
        Setting(
            "host",
            _HOST_NAME,
            "",
            "Name of the host that the meter supplies; other hosts ignore the entry.",
            "One file can so serve a rack.",
            default_text="the host that reads the file",
        ),
        Setting(
            "feeds",
            _one_of(FEEDS),
            "host",
            "The load of the meter: host (all of it), supply (one of its power supplies) or rack.",
            "The meters of all supplies of a host are added. A rack contains the host, is shown, and is never added.",
        ),
        Setting(
            "part",
            _LINE,
            "",
            "Part of the device: component of a shelly, outlet of a PDU, chassis of a BMC, unit of Modbus.",
            default_text="the first component, the whole PDU, the only chassis, or unit 1",
        ),
        Setting("topic", _LINE, "", "MQTT topic of the meter's messages, without wildcards."),
        Setting(
            "preset",
            _LINE,
            "",
            "Usual device that sets power, energy and energy_unit.",
            "For mqtt: tasmota or zigbee2mqtt; for modbus: eastron-sdm120, eastron-sdm630, shelly-pro-3em or janitza.",
            default_text="the keys below",
        ),
        Setting(
            "power",
            _LINE,
            "",
            "Place of the power in watts: a path in the JSON message, a Modbus register or a SCPI query.",
            'A path is "ENERGY.Power", or "$" for a message that is the number alone; a register is '
            '"input:12:float32" or "holding:19026:float32"; a query is ":MEASure:POWer?".',
        ),
        Setting("energy", _LINE, "", "Place of the energy counter, in the same form."),
        Setting(
            "energy_unit",
            _one_of(JOULES),
            "",
            f"Unit of the energy: {', '.join(JOULES)}.",
            default_text="kWh, or that of the preset",
        ),
        Setting(
            "snmp_auth",
            _one_of(SNMP_AUTH),
            "",
            f"Hash of SNMPv3: {', '.join(SNMP_AUTH)}.",
            "Requests are encrypted with AES-128. Without `user` they are of version 2c, which encrypts nothing.",
            default_text="sha",
        ),
        Setting(
            "refresh_seconds",
            _REFRESH,
            0.0,
            "Longest time between two new values of the meter, in seconds.",
            default_text="that of the kind",
        ),
        Setting("user", _LINE, "", "Name of the user of the meter, of the broker, or of SNMPv3."),
        Setting(
            "password_file",
            types.PATH,
            "",
            "File with the password, with mode 0600.",
            "For SNMP without a user it has the community; with a user, one password serves login and encryption.",
        ),
        Setting("ca_file", types.PATH, "", "File with the certificates that a TLS server must be signed by."),
        Setting(
            "fingerprint",
            _FINGERPRINT,
            "",
            "SHA-256 of the only certificate to accept, for a self-signed one.",
            "`openssl x509 -noout -fingerprint -sha256` prints it.",
        ),
        Setting("model", _LINE, "", "Model of the meter, for the profile.", default_text="as the meter reports it"),
        Setting("accuracy_class", _LINE, "", "Accuracy of the meter, as its maker states it.", example="1 % + 0.5 W"),
        Setting("range", _LINE, "", "Range of the meter.", example="16 A"),
        Setting("serial", _LINE, "", "Serial number of the meter.", default_text="as the meter reports it"),
        Setting("calibration_date", _DATE, "", "Date of the last calibration.", example="2026-01-31"),
    ),
    repeated=True,
)


def meters_of(records: Sequence[Mapping[str, Any]], where: str) -> tuple[MeterConfig, ...]:
    """Return the meters of the tables of a file. Raises ConfigError, which names the entry and the field."""
    if len(records) > MOST_METERS:
        raise ConfigError(f"{where}: {len(records)} meters below [[meters]] are more than {MOST_METERS}")
    meters = tuple(_meter(record, f"{where}: meters[{at}]") for at, record in enumerate(records, 1))
    for name, count in Counter(meter.name for meter in meters).items():
        if count > 1:
            raise ConfigError(f"{where}: meters: {count} entries have the name {quoted(name)}; each needs its own")
    return meters


def meters_of_host(meters: Iterable[MeterConfig], name: str) -> tuple[MeterConfig, ...]:
    """Return the meters of the host with this name, and those without a host; a domain on one side is ignored."""
    full = name.lower()

    def is_here(host: str) -> bool:
        is_short = "." not in host or "." not in full
        return host == full or (is_short and host.partition(".")[0] == full.partition(".")[0])

    return tuple(meter for meter in meters if not meter.host or is_here(meter.host))


def as_table(meter: MeterConfig) -> dict[str, Any]:
    """Return the keys and values of the table that sets all of a meter."""
    values = {each.name: getattr(meter, each.name) for each in fields(MeterConfig)}
    return {key: value for key, value in values.items() if value and (key, value) != ("feeds", FEEDS[0])}


def _meter(record: Mapping[str, Any], entry: str) -> MeterConfig:
    for key in ("name", "kind", "url"):
        if not record[key] and (key != "url" or not KINDS[record["kind"]].pattern.fullmatch("")):
            raise ConfigError(f"{entry}.{key} is missing; add {key} = ... below [[meters]]")
    meter = MeterConfig(**record)
    kind = KINDS[meter.kind]
    if not kind.pattern.fullmatch(meter.url):
        raise ConfigError(
            f"{entry}.url = {quoted(meter.url)} is not a URL of kind {meter.kind}, such as {kind.example}"
        )
    for key in as_table(meter):
        if key not in {*COMMON, *kind.uses}:
            raise ConfigError(f"{entry}.{key} has no effect on a meter of kind {meter.kind}; remove it")
    for key in kind.needs:
        if not record[key]:
            raise ConfigError(f"{entry}.{key} is missing, which a meter of kind {meter.kind} needs; add {key} = ...")
    _check_address(meter, entry)
    _check_security(meter, entry)
    _check_places(meter, entry)
    return meter


def _check_address(meter: MeterConfig, entry: str) -> None:
    try:
        parts = urlsplit(meter.url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if meter.url not in {"", "local"} and (not host or port == 0):
        raise ConfigError(f"{entry}.url = {quoted(meter.url)} has no valid host and port")
    address = parse_address(host)
    if address is None or (meter.kind == "redfish" and address.is_link_local and str(address) != _METADATA):
        return  # a server reaches its own BMC at a link-local address (Redfish Host Interface, DSP0270)
    if reason := refusal(address):
        raise ConfigError(f"{entry}.url = {quoted(meter.url)}: {reason}. Name the address of the meter")


def _check_security(meter: MeterConfig, entry: str) -> None:
    scheme = meter.url.partition("://")[0]
    for key in ("ca_file", "fingerprint"):
        if getattr(meter, key) and scheme not in {"https", "mqtts"}:
            raise ConfigError(f"{entry}.{key} has no effect without TLS; use a URL with https or mqtts")
    if meter.ca_file and meter.fingerprint:
        raise ConfigError(f"{entry}: ca_file and fingerprint exclude each other; remove one of them")
    if meter.user and not meter.password_file:
        raise ConfigError(f"{entry}.user needs password_file; add the path of a file with the password, mode 0600")
    if meter.kind == "redfish" and scheme == "http" and not is_loopback(urlsplit(meter.url).hostname or ""):
        raise ConfigError(f"{entry}.url = {quoted(meter.url)} would show the password to the network; use https")
    if meter.snmp_auth and not meter.user:
        raise ConfigError(f"{entry}.snmp_auth has no effect without user; add the user of SNMPv3")


def _check_places(meter: MeterConfig, entry: str) -> None:
    """Check preset, power and energy. Raises ConfigError."""
    if meter.kind not in _PLACES:
        return
    places = import_module(_PLACES[meter.kind])
    if meter.kind == "mqtt" and set(meter.topic) & {"+", "#"}:
        raise ConfigError(f"{entry}.topic = {quoted(meter.topic)} has a wildcard; name one topic")
    if meter.preset and meter.preset not in places.PRESETS:
        raise ConfigError(f"{entry}.preset = {quoted(meter.preset)} is not one of {', '.join(places.PRESETS)}")
    if not (meter.preset or meter.power or meter.energy):
        raise ConfigError(f"{entry} has no value; set preset, power or energy")
    for key in ("power", "energy"):
        try:
            places.check_place(getattr(meter, key))
        except ValueError as error:
            raise ConfigError(f"{entry}.{key} = {quoted(getattr(meter, key))} {error}") from error
