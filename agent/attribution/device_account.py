"""The account of one device: the work since its last energy, its idle power, and its residuals; pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from agent.attribution.claims import is_drained, work_of
from agent.attribution.idle import IdleEstimator, IdlePower
from agent.attribution.parts import Work, split
from agent.energy.bounds import Energy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.attribution.claims import HostActivity, ServerActivity
    from agent.attribution.device_energy import DeviceEnergy
    from agent.attribution.increments import Increment

PARTS = IDLE, ATTRIBUTED, UNATTRIBUTED = "idle", "attributed", "unattributed"
EQUAL = "equal"
"""The method that shares the idle energy of a device among its servers."""

Account = dict[tuple[str, str, str], Energy]
"""The energy of a server by (part, method, source)."""


class DeviceAccount:
    """The account of a device; `latest` are the parts of its last energy.

    `residual` is the sum of the residuals so far, within plus or minus `residual_bound`. `earlier` is the idle power
    before a restart of the service.
    """

    def __init__(self, device: str, earlier: IdlePower | None = None) -> None:
        self.idle = IdleEstimator(earlier)
        self.source = ""
        self.latest: dict[str, Energy] = {}
        self.residual = self.residual_bound = 0.0
        self._device = device
        self._kind = ""
        self._method = ""
        self._clear()

    def _clear(self) -> None:
        self._work: defaultdict[str, float] = defaultdict(float)
        self._others = self._resolution = 0.0
        self._drained = True

    def add(
        self,
        seconds: float,
        activities: Mapping[str, ServerActivity | None],
        increments: Mapping[str, Increment],
        host: HostActivity,
        energy: DeviceEnergy | None,
        *,
        loaded: bool,
    ) -> dict[str, Account]:
        """Add the work of the servers of the device, the keys of `increments`; return their parts of its `energy`.

        `energy` is None while the sensors have no new value: the work then counts for the next one. `loaded` states
        that every server answers.
        """
        self._kind = energy.kind if energy else self._kind
        work = work_of(self._device, self._kind, seconds, activities, increments, host)
        if work.method != self._method:
            self._clear()
            self._method = work.method
        for name, amount in work.servers.items():
            self._work[name] += amount
        self._others += work.others
        self._resolution = max(self._resolution, work.resolution)
        self._drained = self._drained and loaded and is_drained(work, seconds, increments, host)
        if not loaded:
            self.idle.interrupt()
        self.latest = {}
        if energy is None:
            return {}
        everything = Work(work.method, {name: self._work[name] for name in increments}, self._others, self._resolution)
        found = self._split(energy, everything)
        if loaded:
            self.idle.add(energy.energy, energy.seconds, energy.end_ns, drained=self._drained)
        self._clear()
        return found

    def _idle_power(self, energy: DeviceEnergy) -> IdlePower:
        """Return the idle power in an interval; before it is known, all power of an interval without work is idle."""
        power = self.idle.power
        if power.at_ns is not None or not self._drained:
            return power
        drawn = energy.energy.times(1 / energy.seconds)
        return IdlePower(drawn.joules, 0.0, drawn.upper)

    def _split(self, energy: DeviceEnergy, work: Work) -> dict[str, Account]:
        parts = split(energy.energy, energy.seconds, self._idle_power(energy), work)
        self.source = energy.source
        self.residual += parts.residual
        self.residual_bound += parts.residual_bound
        attributed = Energy(0.0, 0.0, 0.0)
        for part in parts.attributed.values():
            attributed = attributed.plus(part)
        self.latest = {IDLE: parts.idle, ATTRIBUTED: attributed, UNATTRIBUTED: parts.unattributed}
        share = parts.idle.times(1 / len(work.servers))
        return {
            name: {(IDLE, EQUAL, self.source): share, (ATTRIBUTED, work.method, self.source): part}
            for name, part in parts.attributed.items()
        }
