"""The total of a counter over random histories of reads, kills, resets, suspensions and reboots."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.model import Channel, Reason, Rejection, Source
from store.records import Tick, Total
from stored_totals import KEY, PLAIN, RAPL, WRAPS_AT, Store, started, tick

MICRO = 1_000_000
RANGE_UJ = round(WRAPS_AT * MICRO)
EVENTS = ("read", "read", "keep", "keep", "restart", "kill", "reset", "sleep", "pause", "reboot")


@dataclass
class Machine:
    """A host with one energy counter, the service on it and a client that scrapes it; the truth in whole microjoules.

    `due` is the expected total: the consumption while the counter was read, and in pauses whose count is certain.
    `saved` is (due, boot, time, counter) of the last commit, with a counter of -1 if it was unknown then.
    """

    wraps: bool
    store: Store = field(default_factory=Store)
    scraped: list[float] = field(default_factory=list)
    monotonic: float = 10.0
    asleep: float = 0.0
    boot: int = 0
    hardware: int = 0
    consumed: int = 0
    due: int = 0
    saved: tuple[int, int, float, int] | None = None

    def __post_init__(self) -> None:
        self.starts()

    @property
    def channel(self) -> Channel:
        return RAPL if self.wraps else PLAIN

    @property
    def raw(self) -> int:
        return self.hardware % RANGE_UJ if self.wraps else self.hardware

    @property
    def moment(self) -> float:
        return self.monotonic + self.asleep

    def starts(self) -> None:
        self.totals = started(self.store, self.channel, boot_id=f"boot-{self.boot}", asleep_seconds=self.asleep)
        self.waiting: list[Tick] = []
        self.value: int | None = None
        self.read_at = 0
        self.fell = self.known = False

    def draw(self, seconds: float, watts: float) -> None:
        self.monotonic += seconds
        self.hardware += round(watts * seconds * MICRO)
        self.consumed += round(watts * seconds * MICRO)

    def read(self) -> None:
        step = self.consumed - self.read_at
        self.read_at = self.consumed
        rejections: tuple[Rejection, ...] = ()
        if self.value is None:
            self.value, self.known = self.raw, True
            self.due = self.due_at_start()
        elif self.fell:
            rejections, self.known = (Rejection(0, Reason.RESET),), False
        else:
            self.value += step
            self.due += step
        self.fell = False
        value = math.nan if rejections else self.value / MICRO
        self.waiting.append(tick(self.monotonic, value, rejections=rejections))
        self.scrape()

    def due_at_start(self) -> int:
        if self.saved is None:
            return self.raw
        due, boot, moment, raw = self.saved
        longest = WRAPS_AT / self.channel.max_plausible - self.channel.refresh_seconds if self.wraps else math.inf
        if boot != self.boot or raw < 0 or self.moment - moment >= longest - 1e-9:
            return due
        return due + ((self.raw - raw) % RANGE_UJ if self.wraps else max(0, self.raw - raw))

    def store_ticks(self) -> None:
        if self.waiting:
            self.totals.store_ticks(self.waiting, self.store.append)
            self.saved = (self.due, self.boot, self.moment, self.raw if self.known else -1)
            self.scrape()
            self.waiting = []
            assert self.scraped[-1] == pytest.approx(self.due / MICRO, abs=1e-5)

    def scrape(self) -> None:
        if self.saved:  # a kill within the first second may undo the exported value
            self.scraped.append(self.totals.exported_value(self.waiting[-1], 0))

    def happen(self, event: str, seconds: float, watts: float) -> None:
        if event in {"read", "keep"}:
            self.draw(seconds, watts)
            self.read()
        if event in {"keep", "restart", "reboot"} and self.waiting:
            self.draw(0.001, watts)
            self.read()
            self.store_ticks()
        if event == "reset" and not self.wraps:  # a reset of a counter that wraps cannot be distinguished from a wrap
            self.hardware, self.fell = 0, True
        if event == "reboot":
            self.boot, self.hardware, self.monotonic, self.asleep = self.boot + 1, 0, 1.0, 0.0
        if event == "sleep":
            self.asleep += 5 * seconds
        if event in {"sleep", "restart", "kill", "pause", "reboot"}:
            self.draw(seconds * (10 if event == "pause" else 1), watts)
            self.starts()


steps = st.tuples(st.sampled_from(EVENTS), st.floats(0.05, 2.0), st.floats(0.0, 99.0))


@given(st.booleans(), st.lists(steps, min_size=15, max_size=60))
def test_a_total_never_decreases_and_contains_only_certain_counts(
    wraps: bool, history: list[tuple[str, float, float]]
) -> None:
    machine = Machine(wraps)
    for event in history:
        machine.happen(*event)
    machine.store_ticks()
    assert all(before <= now for before, now in pairwise(machine.scraped))
    assert machine.due <= machine.consumed


@given(st.lists(st.floats(0.0, 1e6, width=32), min_size=2, max_size=50), st.floats(0.0, 1e9))
def test_rounding_never_decreases_a_total(increments: list[float], total: float) -> None:
    store = Store()
    value, shown = 0.1, [total]
    store.kept[KEY] = Total(
        "host", "rapl", "package-0", "package", "energy_joules", Source.MEASURED, "x", None, total, 0
    )
    one = started(store)
    for number, increment in enumerate(increments):
        value += increment
        one.store_ticks([tick(number + 1, value)], store.append)
        shown.append(one.exported_value(tick(number + 1, value), 0))
    assert all(before <= now for before, now in pairwise(shown))
