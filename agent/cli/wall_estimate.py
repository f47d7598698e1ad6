"""The modeled energy at the wall of a measurement, by the stored wall factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.config import Config
    from agent.energy.bounds import Energy
    from agent.energy.measurement import Measurement
    from probes.model import Channel


@dataclass(frozen=True, slots=True)
class WallEstimate:
    """The modeled energy at the wall, or the reason why a stored factor gives none; `learned` is the factor's time."""

    learned: str
    energy: Energy | None
    reason: str

    def document(self, seconds: float) -> dict[str, Any]:
        """Return it as a JSON object, of a measurement of `seconds`."""
        energy = self.energy
        return {
            "boundary": "wall (modeled)",
            "source": "estimated",
            "joules": energy.joules if energy else None,
            "lower": energy.lower if energy else None,
            "upper": energy.upper if energy else None,
            "mean_watts": energy.joules / seconds if energy else None,
            "reason": self.reason or None,
        }

    def text(self) -> str:
        """Return it as one line."""
        from agent.render.tables import plain, spread

        factor = f"by the factor learned on {self.learned}"
        if self.energy is None:
            return f"no modeled energy at the wall {factor}: {self.reason}"
        bounds = spread(self.energy.joules, self.energy.lower, self.energy.upper)
        return f"wall (modeled): {plain(self.energy.joules)} J {bounds}, estimated {factor}"


def wall_estimate(config: Config, measured: Measurement, channels: Sequence[Channel]) -> WallEstimate | None:
    """Return the modeled energy; None without a factor, without a total, or if the total is at the wall."""
    from agent.config.paths import state_folder
    from agent.energy.counted_sensors import Boundary
    from agent.energy.wall_factor import WallFactorError, changes
    from agent.host.wall_state import WallStateError, present_key, read_record

    folder = state_folder(config.database)
    if folder is None or measured.total is None or measured.coverage.boundary is Boundary.WALL:
        return None
    try:
        record = read_record(folder)
    except WallStateError as error:
        return WallEstimate("an unknown date", None, str(error))
    if record is None:
        return None
    from agent.host.inventory import host_id

    if void := changes(record.key, present_key(config.roots, host_id(), channels)):
        return WallEstimate(record.learned, None, f"it is void: {'; '.join(void)}")
    keys = {each.key for each in measured.coverage.includes}
    counted = {each.channel: each.mean_watts or 0.0 for each in measured.readings if each.channel.key in keys}
    try:
        power = record.applied().power(measured.total.times(1 / measured.seconds), counted, measured.seconds)
    except WallFactorError as error:
        return WallEstimate(record.learned, None, str(error))
    return WallEstimate(record.learned, power.times(measured.seconds), "")
