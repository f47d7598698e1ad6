"""Removes from a profile what names its owner: hosts, serial numbers, addresses, paths, URLs, processes, free text.

Only text that is listed here as harmless stays: a field that a later version adds is removed until it is listed.
"""

from __future__ import annotations

import hashlib
import json
import re
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from agent.profiling.records import Document
from agent.profiling.run_facts import CheckResult
from agent.runtime import typed_json
from agent.workloads.point import point_name
from probes.model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMOVED = "removed"
_MINUTE_NS = 60 * 10**9
_MINUTE_CHARACTERS = len("2026-01-31T08:30")
_SHORTEST_SECRET = 4
_WORDS = re.compile(r"(?:[\w .,:;+*()%=@'±°-]|GNU/Linux){1,160}")
"""Text of products, units and our own phrases: it has no slash, so neither a path nor a URL fits."""
_KEY = re.compile(r"[a-z][a-z0-9_ -]{0,39}")
_LIMIT = re.compile(r"[a-z-]{0,20}rapl[a-z-]{0,20}(:\d+)* [a-z0-9_]{1,30}")
"""A constraint of a RAPL zone."""
_GENERIC_ID = re.compile(r"[a-z]+(-\d{1,3})?")
_ADDRESS = re.compile(
    r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}"
    r"|\d{1,3}(\.\d{1,3}){3}|([0-9a-f]{2}:){5}[0-9a-f]{2}",
    re.IGNORECASE,
)
"""A PCI address, a UUID, a long hexadecimal number, an IPv4 address or a MAC address."""
_SAFE_SETTINGS = frozenset(
    {
        *("api", "arrivals", "method", "device", "engine", "positions", "precision", "provider", "workload"),
        *("dtype", "kind", "mlp", "numa_nodes", "operation", "preset"),
    }
)
"""The settings whose texts are words of this program."""
_SAFE_ATTRIBUTES = re.compile(r"driver|cores|threads|microarchitecture|virtual|architecture|estimate_\w+")
_MODEL_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_MODEL_FILE = re.compile(r".*\.(onnx|gguf|safetensors|bin|pt|json)", re.DOTALL | re.IGNORECASE)
_SAFE = frozenset(
    {
        *("Document.schema_version", "Document.inferometer_version", "PlanFacts.mode", "HostFacts.kernel"),
        *("HostFacts.operating_system", "HostFacts.cpu_model", "HostFacts.microarchitecture", "HostFacts.cpu_flags"),
        *("EngineFacts.name", "EngineFacts.version", "EngineFacts.provider", "WorkloadFacts.name"),
        *("EngineFacts.device", "EngineFacts.cpus", "Agreement.reference", "PointModel.precision"),
        *("WorkloadFacts.precision", "InputFacts.name", "InputFacts.element", "DeviceFacts.name"),
        *("WorkloadFacts.computes_in", "PointModel.computes_in"),
        *("SensorFacts.domain", "SensorFacts.metric", "SensorFacts.method", "IncludedSensor.domain"),
        *("HostSettings.cpu_governors", "SamplingConditions.policy", "IdlePower.domain", "PhaseSpeed.phase"),
        *(
            "SensorEnergy.kind",
            "SensorEnergy.domain",
            "SensorJoules.domain",
            "SensorEnergy.method",
            "PhaseEnergy.phase",
            "PhaseWork.phase",
            "Ceiling.precision",
            "Ceiling.device",
            "Cost.currency",
        ),
        *("Cost.no_allocation_reason", "BasisCost.no_total_reason", "MissingInput.name", "MissingInput.effect"),
        *("TariffDefault.name", "TariffDefault.source", "SensorAgreement.domain", "DeviceConditions.domain"),
        *("DeviceConditions.throttle_reasons", "CheckResult.name", "ToolReport.tool", "ToolReport.version"),
        *("Tariff.currency", "Tariff.given", "Tariff.measured", "ValueRange.name", "CoverageFacts.not_covered"),
        *("Offer.currency", "Offer.region", "Offer.certifications", "LayerCheck.reason", "PartFacts.name"),
        *("MeterFacts.kind", "MeterFacts.model", "MeterFacts.accuracy_class", "MeterFacts.range"),
    }
)
"""The fields whose texts stay if they are words and contain no address and nothing that was removed elsewhere."""
_DEVICES = frozenset(
    f"{record}.{name}"
    for record, name in (
        ("DeviceFacts", "id"),
        *(
            (each, "device")
            for each in ("IncludedSensor", "IdlePower", "SensorEnergy", "SensorJoules", "SensorAgreement", "MeterFacts")
        ),
        *((each, "device") for each in ("DeviceConditions", "GpuSharing")),
    )
)
"""The fields that name a device."""
_SENTENCES = frozenset({"CoverageFacts.not_covered", "PartFacts.name"})
"""The fields whose texts contain ids of devices."""
_POINTS = frozenset({"Point.name", "SustainableRate.point"})


class Anonymizer:
    """The anonymized form of one profile document: the same document always has the same one."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._original: Document = msgspec.convert(document, Document)
        self._names: dict[str, str] = {}
        self._offers: dict[str, str] = {}
        self._commands: dict[str, str] = {}
        self._secrets: set[str] = set()
        for device in self._original.devices:
            self.device(device.id, device.kind)
        self._points = self._point_names()

    def document(self) -> dict[str, Any]:
        """Return the document without names; its id and the id of its host depend on the rest."""
        self._record(self._original)  # finds everything that is removed, so that it is removed everywhere
        found = self._record(self._original)
        notes = len(self._original.notes)
        note = (
            "anonymized: names, identifiers, addresses, paths, times within a minute and free texts are removed, "
            f"among them {notes} note{'' if notes == 1 else 's'}"
        )
        found = msgspec.structs.replace(found, id="", created=_to_minute(self._original.created), notes=())
        same = _present(json.loads(typed_json.to_json(msgspec.structs.replace(found, schema_version=""))))
        uid = f"anonymous-{hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]}"
        host = msgspec.structs.replace(found.host, id=uid, name="anonymous", boot_id=None, labels={})
        plain: dict[str, Any] = json.loads(
            typed_json.to_json(msgspec.structs.replace(found, id=uid, host=host, notes=(note,)))
        )
        return plain

    def device(self, device_id: str, kind: str = Kind.HOST) -> str:
        """Return the new id of a device: its kind with a number; an id such as `package-0` stays."""
        if _GENERIC_ID.fullmatch(device_id):
            return device_id
        if device_id not in self._names:
            self._replaced(device_id)
            used = {*self._names.values(), *(device.id for device in self._original.devices)}
            self._names[device_id] = next(name for n in count() if (name := f"{kind}-{n}") not in used)
        return self._names[device_id]

    def word(self, text: str) -> str:
        """Return a text that may stay, else the word `removed`."""
        lowered = text.lower()
        secret = _ADDRESS.search(text) or any(each in lowered for each in self._secrets)
        return text if _WORDS.fullmatch(text) and not secret else _REMOVED

    def _replaced(self, text: str) -> str:
        """Add a text to those that no other text may contain; return the word in its place."""
        if len(text) >= _SHORTEST_SECRET:
            self._secrets.add(text.lower())
        return _REMOVED

    def _point_names(self) -> dict[str, str]:
        """Return the new names of the points, made of the parameters that stay."""
        new = [point_name(self._values(point.parameters)) for point in self._original.points]
        return {
            point.name: name if new.count(name) == 1 else f"point {number}"
            for number, (point, name) in enumerate(zip(self._original.points, new, strict=True), 1)
        }

    def _record(self, record: Any) -> Any:
        """Return a record with the same numbers, and with its texts as far as they may stay."""
        kind = type(record)
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        changed = {
            name: getattr(record, name)
            if _is_closed(annotation)
            else self._value(getattr(record, name), f"{kind.__name__}.{name}", annotation)
            for name, annotation in fields.items()
        }
        if isinstance(record, CheckResult):
            changed["message"] = record.name.replace("_", " ")
        return kind(**changed)

    def _value(self, value: Any, place: str, annotation: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return self._record(value)
        if isinstance(value, str) and not isinstance(value, Enum):
            new = self._text(value, place)
            return None if new == _REMOVED and type(None) in get_args(annotation) else new
        if isinstance(value, list | tuple):
            return type(value)(self._value(each, place, None) for each in value)
        if isinstance(value, dict):
            return self._mapping(value, place)
        return value // _MINUTE_NS * _MINUTE_NS if place.endswith("_ns") and value is not None else value

    def _text(self, text: str, place: str) -> str:
        if place in _DEVICES:
            return self.device(text)
        if place in _POINTS:
            return self._points.get(text, _REMOVED)
        if place in {"ToolReport.started", "WallModel.learned"}:
            return _to_minute(text)
        if place == "WorkloadFacts.model_sha256":
            return text
        if place not in _SAFE:
            removed = self._replaced(text)
            return self._offers.setdefault(text, f"offer-{len(self._offers) + 1}") if place == "Offer.name" else removed
        return self.word(self._with_new_ids(text) if place in _SENTENCES else text)

    def _with_new_ids(self, text: str) -> str:
        for known, new in sorted(self._names.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(known, new)
        return text.replace("/", " ")

    def _mapping(self, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        if place == "DeviceFacts.attributes":
            return {name: self._attribute(name, value) for name, value in values.items() if _KEY.fullmatch(name)}
        if place in {"WorkloadFacts.settings", "Point.parameters", "PlanFacts.sweep"}:
            return self._values(values)
        found: dict[str, Any] = {}
        for name, value in values.items():
            key = self._key(name)
            new = self._value(value, place, None)
            found[key] = found[key] + new if key in found and isinstance(new, int) else new
        return found

    def _key(self, name: str) -> str:
        if _LIMIT.fullmatch(name):
            return name
        return self.word(name) if _KEY.fullmatch(name) else self._replaced(name)

    def _attribute(self, name: str, value: str) -> str:
        return self.word(value) if _SAFE_ATTRIBUTES.fullmatch(name) else self._replaced(value)

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings or parameters: numbers stay, of the texts only words of this program and model names."""
        found: dict[str, Any] = {}
        for number, (name, value) in enumerate(values.items(), 1):
            key = self._key(name)
            found[f"{key} {number}" if key == _REMOVED else key] = self._setting(name, value)
        return found

    def _setting(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            if name == "command":
                self._replaced(value)
                return self._commands.setdefault(value, f"command-{len(self._commands) + 1}")
            if name == "model":
                return self._model(value)
            return self.word(value) if name in _SAFE_SETTINGS else self._replaced(value)
        if isinstance(value, list | tuple):
            return [self._setting(name, each) for each in value]
        return self._values(value) if isinstance(value, dict) else value

    def _model(self, name: str) -> str:
        """Return the name of a model, but of the path of a file only its type."""
        file = _MODEL_FILE.fullmatch(name)
        if file:
            self._replaced(name)
            return f"model.{file[1].lower()}"
        return name if _MODEL_NAME.fullmatch(name) and not name.startswith(".") else self._replaced(name)


def _present(value: Any) -> Any:
    """Return a value without empty fields: one that a later schema adds is empty in a document of an earlier one."""
    if isinstance(value, dict):
        return {name: new for name, each in value.items() if (new := _present(each)) not in (None, [], {})}
    return [_present(each) for each in value] if isinstance(value, list) else value


def _is_closed(annotation: Any) -> bool:
    """Return whether a type has only words of this program: a Literal, or an enumeration."""
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return True
    parts = [part for part in get_args(annotation) if part not in {type(None), Ellipsis}]
    return bool(parts) and all(map(_is_closed, parts))


def _to_minute(moment: str) -> str:
    """Return a time (ISO 8601) without its seconds and zone, which is UTC."""
    return f"{moment[:_MINUTE_CHARACTERS]}:00+00:00"
