"""Stores the wall factor of this host in a file beside the store."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.energy.wall_factor import COUNTED, AppliedFactor, WallFactor, total_inside, wall_key
from agent.host.settings import PowerLimits
from agent.runtime import typed_json
from agent.runtime.output import output
from agent.runtime.text_input import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel, Roots

FILE_NAME = "wall-factor.json"
_MOST_BYTES = 1 << 20
_MODE = 0o644


class WallRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A learned factor: the time in ISO 8601, the meters as device/domain, their facts, and what it depends on."""

    schema: Literal["inferometer.wall-factor.1"]
    learned: str
    meters: tuple[str, ...]
    meter_facts: dict[str, str]
    key: dict[str, tuple[str, ...]]
    factor: WallFactor

    def applied(self) -> AppliedFactor:
        """Return the factor with the sensors of its total."""
        return AppliedFactor(self.factor, frozenset(each.rpartition(" ")[0] for each in self.key[COUNTED]))


class WallStateError(ValueError):
    """The file of the factor cannot be used; the message names the file, the cause and the remedy."""


def present_key(roots: Roots, host_id: str, channels: Iterable[Channel]) -> dict[str, tuple[str, ...]]:
    """Return the facts that a factor depends on, as they are now; `channels` are those of the discovery."""
    found = tuple(channels)
    return wall_key(host_id, found, total_inside(found), PowerLimits(Path(roots.sysfs)).read())


def read_record(folder: Path) -> WallRecord | None:
    """Return the stored factor, None without one. Raises WallStateError."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        record: WallRecord = typed_json.from_json(read_text(path, _MOST_BYTES), WallRecord)
    except ValueError as error:
        raise WallStateError(f"{path}: {error}. Learn the factor again with `inferometer wall learn`") from error
    return record


def write_record(folder: Path, record: WallRecord) -> Path:
    """Store a factor in place of the last one, and return the path of the file. Raises OSError."""
    path = folder / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True)
    with output(path, _MODE) as stream:
        stream.write(f"{typed_json.to_json(record, indent=2)}\n".encode())
    return path


def delete_record(folder: Path) -> bool:
    """Delete the stored factor; return whether there was one. Raises OSError."""
    with suppress(FileNotFoundError):
        (folder / FILE_NAME).unlink()
        return True
    return False
