"""The settings of `[[serving]]`: the inference servers whose traffic the service measures."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.config import value_types as types
from agent.config.errors import ConfigError
from agent.config.serving_kinds import GENERIC, KINDS, QUANTITIES, MetricNames
from agent.config.setting import Setting, Table
from agent.runtime.addresses import is_loopback, parse_address, refusal
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_METRIC = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"\\{}]*"\})?|')
_LABEL = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)?")
MOST_SERVERS = 32
_PLAIN = ("name", "url", "kind", "model", "devices", "credentials_file", "ca_file")
"""The keys whose values the record holds under the same name."""


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """One inference server.

    `model` names the model of a server whose metrics do not. `devices` are the ids of the devices that it uses, empty
    to find them from its process. `credentials_file` contains a bearer token, `ca_file` certificates to trust.
    """

    name: str
    url: str
    kind: str
    model: str = ""
    devices: tuple[str, ...] = ()
    credentials_file: str = ""
    ca_file: str = ""
    metrics: MetricNames = field(default_factory=MetricNames)

    @property
    def port(self) -> int:
        """The TCP port of the URL."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError
    return value


def _kind(value: object) -> str:
    if value != "" and value not in KINDS:
        raise ValueError
    return str(value)


_NAME_TYPE = types.ValueType("a name of 1 to 64 letters, digits, dots and dashes", lambda v: _matching(_NAME, v))
_URL_TYPE = types.ValueType('an http or https URL without a user, such as "http://127.0.0.1:8000/metrics"', types.url)
_KIND_TYPE = types.ValueType(f"one of {', '.join(KINDS)} (Ollama exports no metrics)", _kind)
_METRIC_TYPE = types.ValueType(
    'the name of a metric, with at most one label: "name" or \'name{label="value"}\'', lambda v: _matching(_METRIC, v)
)
_LABEL_TYPE = types.ValueType("the name of a label", lambda v: _matching(_LABEL, v))
_MODEL_TYPE = types.ValueType(
    "a printable text of at most 128 characters", lambda v: _matching(re.compile(r"[^\x00-\x1f\x7f]{0,128}"), v)
)
_MEANINGS = {
    "input_tokens": "input tokens (a counter)",
    "output_tokens": "output tokens (a counter)",
    "requests": "ended requests (a counter)",
    "arrivals": "received requests (a counter)",
    "errors": "failed requests (a counter)",
    "running": "requests that run now (a gauge)",
    "waiting": "requests that wait now (a gauge)",
    "duration": "the total duration of ended requests in seconds (a counter)",
    "prefill": "the time that requests spent on their input, in seconds (a counter)",
    "decode": "the time that requests spent on their output, in seconds (a counter)",
}

SERVING = Table(
    "serving",
    (
        Setting(
            "name",
            _NAME_TYPE,
            "",
            "Name of the server, which is the label `server` of its metrics.",
            default_text="required",
            example="chat",
        ),
        Setting(
            "url",
            _URL_TYPE,
            "",
            "URL of the server's Prometheus metrics.",
            "Redirects are not followed, proxy variables have no effect, and link-local addresses are refused.",
            default_text="required",
            example="http://127.0.0.1:8000/metrics",
        ),
        Setting(
            "kind",
            _KIND_TYPE,
            GENERIC,
            f"Software of the server, which selects the names of its metrics: {', '.join(KINDS)}.",
            "With generic, set the names below.",
            example="vllm",
        ),
        Setting("model", _MODEL_TYPE, "", "Name of the model if the metrics of the server have no label for it."),
        Setting(
            "devices",
            types.SENSOR_NAMES,
            (),
            "Devices whose energy the server uses, as `inferometer devices` lists them.",
            "If empty, they are found from the process that listens on the port: its NVIDIA GPUs, and the processors. "
            "Required if that process is not visible, as in the systemd unit: the energy above idle of these devices "
            "then belongs to the servers that list them.",
        ),
        Setting(
            "credentials_file",
            types.PATH,
            "",
            "File with a bearer token for the URL, with mode 0600.",
            "The URL must be https, or on this host.",
        ),
        Setting("ca_file", types.PATH, "", "File with the certificates that an https server must be signed by."),
        *(
            Setting(name, _METRIC_TYPE, "", f"Metric of {_MEANINGS[name]}.", default_text="that of the kind")
            for name in QUANTITIES
        ),
        Setting("model_label", _LABEL_TYPE, "", "Label that names the model.", default_text="that of the kind"),
    ),
    repeated=True,
)


def servers_of(records: Sequence[Mapping[str, Any]], where: str) -> tuple[ServingConfig, ...]:
    """Return the servers of the tables of a file. Raises ConfigError, which names the entry and the field."""
    if len(records) > MOST_SERVERS:
        raise ConfigError(f"{where}: {len(records)} servers below [[serving]] are more than {MOST_SERVERS}")
    servers = tuple(_server(record, f"{where}: serving[{at}]") for at, record in enumerate(records, 1))
    for name, count in Counter(server.name for server in servers).items():
        if count > 1:
            raise ConfigError(f"{where}: serving: {count} entries have the name {quoted(name)}; each needs its own")
    return servers


def _server(record: Mapping[str, Any], entry: str) -> ServingConfig:
    for key in ("name", "url"):
        if not record[key]:
            raise ConfigError(f"{entry}.{key} is missing; add {key} = ... below [[serving]]")
    address = parse_address(urlsplit(record["url"]).hostname or "")
    if address and (reason := refusal(address)):
        raise ConfigError(f"{entry}.url = {quoted(record['url'])}: {reason}. Name the address of the server")
    if record["credentials_file"] and not _is_private(record["url"]):
        raise ConfigError(
            f"{entry}.credentials_file would be sent over plain http to {urlsplit(record['url']).hostname}; "
            "use https, or an address of this host"
        )
    given: dict[str, Any] = {name: (record[name],) for name in QUANTITIES if record[name]}
    if record["model_label"]:
        given["model_labels"] = (record["model_label"],)
    metrics = replace(KINDS[record["kind"]], **given)
    if not any(getattr(metrics, name) for name in ("requests", "input_tokens", "output_tokens")):
        raise ConfigError(
            f"{entry}.kind = {quoted(record['kind'])} needs output_tokens, input_tokens or requests; name at least one "
            "metric, or set kind"
        )
    return ServingConfig(**{key: record[key] for key in _PLAIN}, metrics=metrics)


def as_table(server: ServingConfig) -> dict[str, Any]:
    """Return the keys and values of the table that sets all of a server."""
    own, usual = server.metrics, KINDS[server.kind]
    named = {name: getattr(own, name)[0] for name in QUANTITIES if getattr(own, name) != getattr(usual, name)}
    if own.model_labels != usual.model_labels:
        named["model_label"] = own.model_labels[0]
    plain = {key: getattr(server, key) for key in _PLAIN}
    return {
        **{key: list(value) if isinstance(value, tuple) else value for key, value in plain.items() if value},
        **named,
    }


def _is_private(url: str) -> bool:
    """Return whether nobody on the network can read a request to a URL."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
