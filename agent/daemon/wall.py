"""The wall factor that the service uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config.paths import state_folder
from agent.energy.wall_factor import changes
from agent.host.wall_state import WallStateError, present_key, read_record
from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.config import Config
    from agent.energy.wall_factor import AppliedFactor
    from probes.model import Channel

logger = get_logger("wall_factor")


def wall_factor(config: Config, host_id: str, channels: Iterable[Channel]) -> AppliedFactor | None:
    """Return the stored wall factor of a host, None without one that holds for its present sensors."""
    folder = state_folder(config.database)
    try:
        record = read_record(folder) if folder else None
    except WallStateError as error:
        logger.warning("the wall factor is not used", reason=str(error))
        return None
    if record is None:
        return None
    void = changes(record.key, present_key(config.roots, host_id, channels))
    if void:
        logger.warning("the wall factor is void", reason="; ".join(void))
        return None
    return record.applied()
