"""Finds the power of this host in each configured BMC."""

from __future__ import annotations

import re
import time
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.counter import Counter
from probes.deadline import Call, NoAnswerError
from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.device import DOMAINS, device_of, id_of
from probes.meters.http import MeterHttp, TlsError
from probes.meters.search import problem_of
from probes.meters.secrets import secret
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts, max_watts
from probes.redfish.chassis import Chassis, chassis_in, hosts_among, inside
from probes.redfish.documents import Resource, entries, link, part, text
from probes.redfish.probe import COUNTS_PER_JOULE, SECONDS, Reading, RedfishProbe
from probes.redfish.session import ROOT, BmcSession, LoginError, StatusError
from probes.redfish.sources import Source, sources_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.settings import MeterConfig, SensorSettings

DISCOVERY_SECONDS = 25.0
"""The time for all requests of a discovery: some BMCs take seconds for each."""
MOST_CHASSIS = 32
SLOWEST_REFRESH_SECONDS = 60.0
"""The longest time between two values of the energy counters of BMCs."""
_NO_SERIAL = re.compile(r"(?i)0*|none|n/?a|unknown|default string|to be filled.*|not specified|.*serial number")
_FORBIDDEN = "Operation not permitted"


def discover_meters(meters: Sequence[MeterConfig], settings: SensorSettings) -> DiscoveryResult:
    """Search all BMCs at the same time; one that fails is a problem."""
    problems: list[Problem] = []
    excluded: set[str] = set()
    calls = []
    for meter in meters:
        named = settings.exclusions(_name(meter), id_of(meter), DOMAINS[meter.feeds])
        excluded |= named
        if not named:
            calls.append((meter, Call(partial(_probe_of, meter, settings), f"meter-{meter.name}", _close)))
    ends = time.monotonic() + DISCOVERY_SECONDS + 1
    found = []
    for meter, call in calls:
        try:
            probe, named = call.result(ends - time.monotonic())
        except (ProbeUnavailableError, ReadError, NoAnswerError) as error:
            problems.append(_problem(meter, error))
        else:
            excluded |= named
            found += [probe] if probe else []
    return DiscoveryResult(tuple(found), tuple(problems), frozenset(excluded))


def _close(late: tuple[RedfishProbe | None, frozenset[str]]) -> None:
    if late[0]:
        late[0].close()


def _name(meter: MeterConfig) -> str:
    return f"redfish/{id_of(meter)}"


def _probe_of(meter: MeterConfig, settings: SensorSettings) -> tuple[RedfishProbe | None, frozenset[str]]:
    """Return the probe of a BMC after one read, None if all of its sensors are excluded."""
    password = secret(meter.password_file) if meter.user else ""
    session = BmcSession(MeterHttp(meter), meter.user, password)
    try:
        searched = _Search(session, meter, settings).readings()
        readings, excluded = settings.select(_name(meter), searched, attrgetter("channel"))
        if not readings:
            session.close()
            return None, excluded
        probe = RedfishProbe(_name(meter), session, readings)
        probe.read(0)
        probe.rejections.clear()
    except BaseException:
        session.close()
        raise
    return probe, excluded


class _Search:
    """The discovery of one BMC; every request ends within the time that is left."""

    def __init__(self, session: BmcSession, meter: MeterConfig, settings: SensorSettings) -> None:
        self._session, self._meter = session, meter
        self._meters = settings.meters
        self._racks = tuple((id_of(each), DOMAINS["rack"]) for each in settings.meters if each.feeds == "rack")
        self._ends = time.monotonic() + DISCOVERY_SECONDS
        self._expand = ""
        self._read_seconds = 0.0

    def readings(self) -> list[Reading]:
        """Return the channels of this host, and of the boards inside it. Raises ProbeUnavailableError, ReadError."""
        root = self._session.root(self._left())
        if part(root, "ProtocolFeaturesSupported", "ExpandQuery", "NoLinks") is True:
            self._expand = "?$expand=.($levels=1)"
        listed = self._chassis(link(root.get("Chassis")) or f"{ROOT}Chassis")
        hosts = hosts_among(listed, self._meter.part)
        for host in hosts:
            if sources := sources_of(host.resource, self._optional, self._expand):
                device, domain = _device(host, self._meter, self._meters), DOMAINS[self._meter.feeds]
                readings = self._readings(device, domain, self._racks, sources)
                for board in inside(listed, host):
                    sources = sources_of(board.resource, self._optional)
                    readings += self._readings(device, _domain(board), ((device.id, domain),), sources)
                return readings
        names = ", ".join(host.id for host in hosts)
        raise ProbeUnavailableError(
            f"the chassis {names} has no value of power or energy: neither EnvironmentMetrics nor PowerControl, nor a "
            "sensor of the chassis",
            "turn the host on, or update the firmware of the BMC",
        )

    def _chassis(self, path: str) -> list[Chassis]:
        collection = self._get(path + self._expand)
        found = []
        for each in list(entries(collection.get("Members")))[:MOST_CHASSIS]:
            path = link(each)
            resource = each if len(each) > 1 else self._optional(path)
            if path and resource:
                found.append(chassis_in(path, resource))
        return found

    def _readings(
        self, device: Device, domain: str, around: tuple[tuple[str, str], ...], sources: Sequence[Source]
    ) -> list[Reading]:
        found = []
        for source in sources:
            channel = self._channel(device, domain, around, source)
            found.append(Reading(channel, source.path, source.pick, _counter(channel) if source.is_energy else None))
        return found

    def _channel(self, device: Device, domain: str, around: tuple[tuple[str, str], ...], source: Source) -> Channel:
        interval = max(1.0, self._read_seconds * 4)
        return Channel(
            device,
            domain,
            "energy_joules" if source.is_energy else "power_watts",
            method="counter" if source.is_energy else "bmc",
            refresh_seconds=0.0 if source.is_energy else round(interval, 1),
            resolution=source.resolution,
            contained_in=around,
            max_plausible=PLAUSIBLE_LIMIT_FACTOR * highest_limit_watts([round(source.limit_watts)], 1, Kind.BOARD),
            read_seconds=self._read_seconds,
        )

    def _get(self, path: str) -> Resource:
        resource, sent_ns, received_ns = self._session.get(path, self._left())
        self._read_seconds = max(self._read_seconds, (received_ns - sent_ns) / 1e9)
        return resource

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise ReadError(f"{self._meter.url} needs more than {DISCOVERY_SECONDS:g} s for a discovery")
        return min(SECONDS, left)

    def _optional(self, path: str) -> Resource | None:
        """Return a resource, None if the BMC has none there or fails to produce it."""
        try:
            return self._get(path) if path else None
        except LoginError:
            raise
        except StatusError:
            return None


def _counter(channel: Channel) -> Counter:
    return Counter(
        0,
        max_watts(channel) * COUNTS_PER_JOULE,
        SLOWEST_REFRESH_SECONDS,
        resolution=channel.resolution * COUNTS_PER_JOULE,
    )


def _device(host: Chassis, meter: MeterConfig, meters: Sequence[MeterConfig]) -> Device:
    """Return the device of a BMC: a meter on the board, with the model and the serial number of its chassis."""
    maker, model = text(host.resource.get("Manufacturer")), text(host.resource.get("Model"))
    serial = text(host.resource.get("SerialNumber"))
    reported = {
        "model": " ".join(filter(None, (maker, model))),
        "serial": "" if _NO_SERIAL.fullmatch(serial) else serial,
        "chassis": host.id,
    }
    return device_of(meter, reported, meters)


def _domain(board: Chassis) -> str:
    return re.sub(r"[^a-z0-9]+", "_", board.id.lower()).strip("_") or "board"


def _problem(meter: MeterConfig, error: Exception) -> Problem:
    """Return the problem of a BMC that cannot be read, with the remedy for its cause."""
    host = urlsplit(meter.url).netloc
    if isinstance(error, ProbeUnavailableError):
        return problem_of(meter, error.reason, error.remedy)
    if isinstance(error, NoAnswerError):
        error = ReadError(f"{host} did not answer within {DISCOVERY_SECONDS:g} s")
    if isinstance(error, TlsError):
        port = host if ":" in host.rpartition("]")[2] else f"{host}:443"
        remedy = (
            "compare the certificate with that on the page of the BMC, and set `fingerprint` to its SHA-256: "
            f"openssl s_client -connect {port} </dev/null | openssl x509 -noout -fingerprint -sha256"
        )
    elif isinstance(error, LoginError) and error.status in {400, 401, 403}:
        remedy = "check user and password_file; a BMC locks a user after some attempts"
    elif isinstance(error, LoginError):
        remedy = "end the sessions of other programs on the page of the BMC, or wait until they expire"
    elif _FORBIDDEN in str(error):
        remedy = "sudo inferometer service install --enable redfish, which lets the service reach this address"
    else:
        remedy = f"check that this host reaches it: curl -k https://{host}{ROOT}"
    return problem_of(meter, str(error), remedy)
