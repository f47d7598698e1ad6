"""An exporter with the values that a test gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.api.metrics import CounterTotals, Exporter
from agent.energy.bounds import Energy
from agent.energy.counted_sensors import Boundary
from agent.sampling.host_total import HostReading
from agent.sampling.probe_reader import ProbeHealth
from probes.model import Channel, Device, Kind
from store.records import Layout, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.attribution.snapshot import ServingSnapshot
    from agent.sampling.store_state import StoreState


SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
GPU = Device("GPU-1", Kind.GPU, "Accelerator", (("serial", "42"), ("driver_version", "1.2"), ("cores", "7")))
POWER = Channel(GPU, "board", "power_watts")
ENERGY = Channel(GPU, "board", "energy_joules")
LAYOUT = Layout(1, "gpu", (POWER, ENERGY))
HOST = HostReading(
    Boundary.ACCELERATOR,
    "measured",
    (ENERGY,),
    ("memory",),
    5.0,
    2.5,
    0.01,
    "EUR",
    NOW,
    10 * SECOND,
    Energy(40.0, 38.0, 42.0),
)


def state(probe: str = "gpu", period_seconds: float = 1.0) -> ProbeHealth:
    return ProbeHealth(probe, period_seconds, read_seconds=0.002, last_success_ns=NOW, ticks=1)


def tick(*values: float, layout: int = 1, at_ns: int = NOW) -> Tick:
    return Tick(layout, at_ns - 2_000_000, at_ns, values)


def export(
    layouts: Sequence[Layout] = (LAYOUT,),
    states: Sequence[ProbeHealth] | None = None,
    ticks: Iterable[Tick] = (),
    now_ns: int = NOW,
    *,
    host: HostReading | None = None,
    store: StoreState | None = None,
    serving: ServingSnapshot | None = None,
    totals: CounterTotals | None = None,
    process: bool = False,
) -> Exporter:
    states = [state(layout.probe) for layout in layouts] if states is None else states
    exporter = Exporter(
        layouts,
        states,
        lambda: 3,
        lambda: now_ns,
        "1.2.3",
        host=lambda: host,
        store=lambda: store,
        serving=lambda: serving,
        totals=totals,
        python="3.11.2",
        process=process,
    )
    by_layout = dict(zip((layout.id for layout in layouts), states, strict=True))
    for one in ticks:
        by_layout[one.layout].latest = one
    return exporter


class Losing:
    """Totals a second old, with a pause of ten seconds of unknown energy."""

    def exported_value(self, tick: Tick, position: int) -> float:
        return tick.values[position] / 2

    def exported_at_ns(self, tick: Tick) -> int:
        return tick.end_ns - SECOND

    def lost_seconds(self) -> dict[tuple[str, ...], float]:
        return {ENERGY.key: 10.0, ("other", "", "", ""): 1.0}
