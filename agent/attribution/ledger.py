"""Adds up the counts of servers and their parts of the energy of devices, one observation after another; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.attribution.claims import PROCESSOR_KINDS, HostActivity, ServerActivity
from agent.attribution.device_account import IDLE, PARTS, Account, DeviceAccount
from agent.attribution.increments import Arrivals, Increment, ServerCounters
from agent.attribution.load import ARRIVALS, SERVED, HourlyLoad
from agent.attribution.parts import NOTHING
from agent.attribution.snapshot import DeviceState, ModelState, ServerState, ServingSnapshot
from agent.attribution.traffic import Interval, Traffic, model_shares, token_costs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.attribution.device_energy import DeviceEnergy
    from agent.attribution.exposition import Counts, ServerReading
    from agent.attribution.idle import IdlePower
    from agent.config.serving import ServingConfig
    from agent.cost.tariff import Tariff
    from store.records import ServingHour

COUNTED = ("input_tokens", "output_tokens", "requests")

CountKey = tuple[str, str, str]
"""Server, model, quantity."""
EnergyKey = tuple[str, str, str, str, str]
"""Server, model, part, method, source."""
PartKey = tuple[str, str, str]
"""Device, part, source."""


@dataclass(frozen=True, slots=True)
class ServerObservation:
    """The result of the last scrape of a server since the observation before, and its processes.

    `reading` is None if no scrape has ended; `error` is the reason of a failed one.
    """

    reading: ServerReading | None = None
    error: str = ""
    activity: ServerActivity | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything observed at `at_ns` (Unix time), `seconds` after the observation before."""

    at_ns: int
    seconds: float
    servers: Mapping[str, ServerObservation]
    host: HostActivity = field(default_factory=HostActivity)
    energies: Sequence[DeviceEnergy] = ()


@dataclass(slots=True)
class Totals:
    """The sums that continue after a restart of the service: counts, joules, and the parts of devices.

    `idle` is the measured idle power of each device.
    """

    counts: defaultdict[CountKey, float] = field(default_factory=lambda: defaultdict(float))
    joules: defaultdict[EnergyKey, float] = field(default_factory=lambda: defaultdict(float))
    parts: defaultdict[PartKey, float] = field(default_factory=lambda: defaultdict(float))
    idle: dict[str, IdlePower] = field(default_factory=dict)


@dataclass(slots=True)
class _Server:
    """One server: its counters, its last gauges and models, and its traffic by model.

    `unread_seconds` is the time since its last reading; `span_seconds` is that before a new reading, 0 without one.
    """

    config: ServingConfig
    counters: ServerCounters = field(default_factory=ServerCounters)
    increment: Increment = field(default_factory=Increment)
    arriving: Arrivals = field(default_factory=Arrivals)
    arrivals: Mapping[str, float] = field(default_factory=dict)
    in_flight: float | None = None
    models: tuple[str, ...] = ("",)
    devices: tuple[str, ...] = ()
    errors: Counter[str] = field(default_factory=Counter)
    scrapes: int = 0
    restarts: int = 0
    last_success_ns: int = 0
    unread_seconds: float = 0.0
    span_seconds: float = 0.0
    up: bool = False
    shortened: int = 0
    traffic: dict[str, Traffic] = field(default_factory=dict)
    load: dict[str, HourlyLoad] = field(default_factory=dict)


class Ledger:
    """The accounts of all servers; `totals` are those of an earlier run of the service, and go on from there."""

    def __init__(
        self, servers: Sequence[ServingConfig], tariff: Tariff | None = None, totals: Totals | None = None
    ) -> None:
        self._servers = {config.name: _Server(config, devices=config.devices) for config in servers}
        self._devices: dict[str, DeviceAccount] = {}
        self._tariff = tariff
        self.totals = totals or Totals()
        self.snapshot = ServingSnapshot()

    def resume(self, hours: Iterable[ServingHour]) -> None:
        """Continue hours that were stored before a restart."""
        for stored in hours:
            if server := self._servers.get(stored.server):
                self._load_of(server, stored.model).resume(stored)

    def hours(self, host_id: str) -> tuple[ServingHour, ...]:
        """Return the hours that may have changed since the last call."""
        found: list[ServingHour] = []
        for name, server in self._servers.items():
            for model, load in server.load.items():
                found += load.records(host_id, name, model)
        return tuple(found)

    def observe(self, seen: Observation) -> None:
        """Add an observation, and renew the snapshot."""
        for name, server in self._servers.items():
            self._count(server, seen.servers.get(name, ServerObservation()), seen)
        for name, server in self._servers.items():
            if not server.config.devices:
                activity = seen.servers.get(name, ServerObservation()).activity
                server.devices = self._devices_of(activity, seen) or server.devices
        energies = self._attribute(seen)
        for name, server in self._servers.items():
            self._record(name, server, energies.get(name, {}), seen)
        self.snapshot = self._snapshot()

    def _count(self, server: _Server, observed: ServerObservation, seen: Observation) -> None:
        """Take the reading of one server."""
        server.increment = Increment(gauges=server.increment.gauges)
        server.arrivals = {}
        server.unread_seconds, server.span_seconds = server.unread_seconds + seen.seconds, 0.0
        if observed.error:
            server.scrapes += 1
            server.errors[observed.error] += 1
            server.up, server.in_flight = False, None
            server.increment = Increment()
        if observed.reading is None:
            return
        restarted = observed.activity is not None and observed.activity.age_seconds < server.unread_seconds
        server.increment = increment = server.counters.advance(observed.reading, restarted=restarted)
        server.scrapes += 1
        server.up, server.last_success_ns = True, seen.at_ns
        server.unread_seconds, server.span_seconds = 0.0, server.unread_seconds
        server.restarts += increment.restarted
        server.arrivals = server.arriving.advance(increment)
        server.shortened = observed.reading.shortened
        server.models = tuple(sorted({*increment.counts, *increment.gauges})) or server.models
        running, waiting = increment.total("running"), increment.total("waiting")
        server.in_flight = None if running is None else running + (waiting or 0.0)

    def _devices_of(self, activity: ServerActivity | None, seen: Observation) -> tuple[str, ...]:
        """Return the devices of a server whose processes are visible: its GPUs, and the processors."""
        if activity is None:
            return ()
        gpus = {device for device, users in seen.host.gpus.items() if users.programs and users.programs & activity.pids}
        processors = {each.device for each in seen.energies if each.kind in PROCESSOR_KINDS}
        return tuple(sorted(gpus | processors))

    def _attribute(self, seen: Observation) -> dict[str, Account]:
        """Split the energy of each device; return the parts of each server."""
        found: dict[str, Account] = {}
        energies = {each.device: each for each in seen.energies}
        for device in sorted({device for server in self._servers.values() for device in server.devices}):
            users = {name: server for name, server in self._servers.items() if device in server.devices}
            account = self._devices.setdefault(device, DeviceAccount(device, self.totals.idle.get(device)))
            activities = {name: seen.servers.get(name, ServerObservation()).activity for name in users}
            increments = {name: server.increment for name, server in users.items()}
            loaded = all(server.up for server in users.values())
            for name, parts in account.add(
                seen.seconds, activities, increments, seen.host, energies.get(device), loaded=loaded
            ).items():
                own = found.setdefault(name, {})
                for key, part in parts.items():
                    own[key] = own.get(key, NOTHING).plus(part)
            for name, energy in account.latest.items():
                self.totals.parts[device, name, account.source] += energy.joules
            if account.idle.power.at_ns is not None:
                self.totals.idle[device] = account.idle.power
        return found

    def _record(self, name: str, server: _Server, energies: Account, seen: Observation) -> None:
        """Add the counts and the energy of one server to its models."""
        counts: dict[str, Counts] = {model: dict(server.increment.counts.get(model, {})) for model in server.models}
        shares = model_shares(counts)
        for model, own in counts.items():
            for quantity in COUNTED:
                if quantity in own:
                    self.totals.counts[name, model, quantity] += own[quantity]
            idle = attributed = NOTHING
            for (part, method, source), energy in energies.items():
                mine = energy.times(1 / len(counts) if part == IDLE else shares[model])
                self.totals.joules[name, model, part, method, source] += mine.joules
                idle, attributed = (idle.plus(mine), attributed) if part == IDLE else (idle, attributed.plus(mine))
            flight = None if server.in_flight is None else server.in_flight * shares[model]
            interval = Interval(seen.at_ns, seen.seconds, own, flight, idle, attributed)
            server.traffic.setdefault(model, Traffic()).add(interval)
            load = self._load_of(server, model)
            load.source = self._source_of(server)
            load.add(
                interval, server.span_seconds, self._requests(server, model, own), censored=self._is_censored(server)
            )

    def _load_of(self, server: _Server, model: str) -> HourlyLoad:
        if model not in server.load:
            names = server.config.metrics
            basis = ARRIVALS if names.arrivals or names.counts_every_end else SERVED
            server.load[model] = HourlyLoad(basis, self._source_of(server))
        return server.load[model]

    def _requests(self, server: _Server, model: str, counts: Counts) -> float | None:
        """Return the requests that arrived, or that ended if arrivals are unknown."""
        names = server.config.metrics
        if names.arrivals:
            return counts.get("arrivals")
        return server.arrivals.get(model) if names.counts_every_end else counts.get("requests")

    def _is_censored(self, server: _Server) -> bool:
        """Return whether the load that was served may be less than the demand."""
        return bool(server.increment.total("waiting") or server.increment.total("errors"))

    def _source_of(self, server: _Server) -> str:
        sources = {self._devices[device].source for device in server.devices if device in self._devices} - {""}
        return sources.pop() if len(sources) == 1 else "mixed" if sources else ""

    def _snapshot(self) -> ServingSnapshot:
        return ServingSnapshot(
            tuple(_state(name, server) for name, server in self._servers.items()),
            tuple(self._models()),
            tuple(self._device_states()),
            (self._tariff.currency if self._tariff else None) or "",
        )

    def _models(self) -> Iterable[ModelState]:
        keys = {key[:2] for key in (*self.totals.counts, *self.totals.joules)}
        for name, model in sorted(keys):
            server = self._servers.get(name)
            if server is None:
                continue
            counts = {each[2]: value for each, value in self.totals.counts.items() if each[:2] == (name, model)}
            joules = {each[2:]: value for each, value in self.totals.joules.items() if each[:2] == (name, model)}
            is_served = server.up and model in server.models
            window = server.traffic[model].window() if is_served and model in server.traffic else None
            share = 1 / (len(self._servers) * max(1, len(server.models)))
            costs = tuple(token_costs(window, self._tariff, share)) if window and self._tariff else ()
            yield ModelState(name, model, counts, joules, window, self._source_of(server), costs)

    def _device_states(self) -> Iterable[DeviceState]:
        for device, own in self._devices.items():
            if own.source:
                parts = {part: self.totals.parts[device, part, own.source] for part in PARTS}
                yield DeviceState(device, own.source, parts, own.residual, own.residual_bound, own.idle.power)


def _state(name: str, server: _Server) -> ServerState:
    return ServerState(
        name,
        server.config.kind,
        server.up,
        server.last_success_ns,
        server.scrapes,
        dict(server.errors),
        server.restarts,
        server.shortened,
        server.increment.folded,
        server.increment.total("running"),
        server.increment.total("waiting"),
        server.devices,
    )
