"""Relates the chips of two drivers that show the same meters, so that each is counted once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.hwmon.discovery import SensorDraft
    from probes.hwmon.folders import Chip

_TWINS: Mapping[str, str] = {"altra_hwmon": "apm_xgene"}
"""The chip whose meters are those of another: both drivers ask the same firmware of Ampere's processors."""


def with_twins(
    devices: Mapping[str, Sequence[Chip]], drafts: Mapping[str, Sequence[SensorDraft]]
) -> dict[str, list[SensorDraft]]:
    """Return the drafts of every device; a meter that another driver shows as well counts as a part of that one.

    The devices of both drivers are paired in order. If their numbers differ, they stay unrelated.
    """
    related = {name: list(found) for name, found in drafts.items()}
    for again, first in _TWINS.items():
        repeated, originals = _devices_of(again, devices, drafts), _devices_of(first, devices, drafts)
        if len(repeated) == len(originals):
            for name, original in zip(repeated, originals, strict=True):
                related[name] = _parts_of(drafts[original], drafts[name])
    return related


def _devices_of(chip: str, devices: Mapping[str, Sequence[Chip]], drafts: Mapping[str, object]) -> list[str]:
    return sorted(name for name in drafts if any(member.name == chip for member in devices[name]))


def _parts_of(originals: Sequence[SensorDraft], repeated: Sequence[SensorDraft]) -> list[SensorDraft]:
    places = {
        draft.channel.domain: draft.channel.place for draft in originals if draft.channel.metric in ENERGY_METRICS
    }
    return [
        replace(draft, channel=replace(draft.channel, contained_in=(*draft.channel.contained_in, place)))
        if draft.channel.metric in ENERGY_METRICS and (place := places.get(draft.channel.domain))
        else draft
        for draft in repeated
    ]
