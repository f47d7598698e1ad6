"""A scripted machine that serves models, whose true energy of each part is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.attribution.claims import HostActivity, ServerActivity
from agent.attribution.device_energy import DeviceEnergy
from agent.attribution.exposition import ServerReading
from agent.attribution.ledger import Ledger, Observation, ServerObservation, Totals
from agent.config.serving import ServingConfig
from agent.config.serving_kinds import KINDS
from agent.energy.bounds import Energy
from probes.nvml.library import GpuProcesses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.cost.tariff import Tariff

SECOND = 10**9
START = 480_000 * 3600 * SECOND
STEP = 5.0
TICK = 0.01


def server(name: str, kind: str = "vllm", devices: Sequence[str] = ()) -> ServingConfig:
    return ServingConfig(name, "http://127.0.0.1:1/metrics", kind, devices=tuple(devices), metrics=KINDS[kind])


@dataclass
class Rig:
    """A machine of one device: its power is idle power plus a constant for each busy second of any process.

    `truth` is the true energy of each part so far. Readings of time are rounded down to ticks, readings of energy are
    uncertain by 1 %.
    """

    servers: Sequence[ServingConfig]
    kind: str = "cpu"
    idle_watts: float = 50.0
    joules_per_busy_second: float = 80.0
    visible: bool = True
    seed: int = 0
    tariff: Tariff | None = None
    totals: Totals | None = None
    seconds: float = 0.0
    truth: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.servers, self.tariff, self.totals)
        self.dice = random.Random(self.seed)

    def step(
        self,
        busy: Mapping[str, float] | None = None,
        others: float = 0.0,
        *,
        tokens: float = 100.0,
        failing: Sequence[str] = (),
        model: str = "m",
        waiting: float = 0.0,
        late: bool = False,
    ) -> None:
        """Run for five seconds; each server is busy for some seconds, and produces tokens if it is busy at all."""
        busy = dict(busy or {})
        self.seconds += STEP
        everything = sum(busy.values()) + others
        self._add("idle", self.idle_watts * STEP)
        self._add("others", self.joules_per_busy_second * others)
        for name, own in busy.items():
            self._add(name, self.joules_per_busy_second * own)
        joules = self.idle_watts * STEP + self.joules_per_busy_second * everything
        shown = joules * (1 + 0.01 * self.dice.uniform(-1, 1))
        energy = Energy(shown, joules * 0.98, joules * 1.02)
        seen = {}
        for at, each in enumerate(self.servers):
            own = busy.get(each.name, 0.0)
            activity = ServerActivity(frozenset({at + 1}), own // TICK * TICK) if self.visible else None
            if each.name in failing:
                seen[each.name] = ServerObservation(error="connection", activity=activity)
                continue
            counts = self.counts.setdefault(each.name, {})
            if own:
                for quantity, amount in (
                    ("output_tokens", tokens),
                    ("input_tokens", tokens / 2),
                    ("requests", tokens / 20),
                    ("duration", tokens / 20),
                ):
                    counts[quantity] = counts.get(quantity, 0.0) + amount
            gauges = {"running": 1.0 if own else 0.0, "waiting": waiting}
            seen[each.name] = ServerObservation(ServerReading({model: {**counts, **gauges}}), activity=activity)
        shares = {at + 1: busy.get(each.name, 0.0) / STEP for at, each in enumerate(self.servers)}
        gpus = (
            {"dev": GpuProcesses(frozenset(shares), {**shares, 99: others / STEP})}
            if self.kind == "gpu" and self.visible
            else {}
        )
        host = HostActivity(everything // TICK * TICK, 8, gpus)
        at_ns = START + round(self.seconds * SECOND)
        energies = () if late else (DeviceEnergy("dev", self.kind, energy, at_ns - 5 * SECOND, at_ns, "measured"),)
        self.ledger.observe(Observation(at_ns, STEP, seen, host, energies))

    def _add(self, part: str, joules: float) -> None:
        self.truth[part] = self.truth.get(part, 0.0) + joules

    def part(self, name: str, part: str) -> float:
        return sum(v for key, v in self.ledger.totals.joules.items() if key[0] == name and key[2] == part)


def drain(rig: Rig, minutes: int = 1) -> None:
    for _ in range(12 * minutes):
        rig.step()
