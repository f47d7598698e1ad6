"""The device of a configured meter, and the part of the host that it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.model import Channel, Device, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from probes.settings import MeterConfig

FEED, RACK = "feed", "rack"
DOMAINS: Mapping[str, str] = {"host": "wall", "supply": FEED, "rack": RACK}
"""The domain of a meter by its load: the whole host, one of several supplies that are added, or a rack."""
RACK_WATTS = 200_000.0
"""The highest plausible power of a rack, in watts."""
METER_BLOCK = ("model", "accuracy_class", "range", "serial", "calibration_date")
"""The attributes that describe the meter, in their order in a device."""
_ON_THE_BOARD = frozenset({"redfish", "ipmi"})
"""The kinds of meters inside of the host: its BMC."""
_SUPPLIES = "supplies"
"""The attribute with the number of supplies that have a meter, of a meter of one of them."""


def id_of(meter: MeterConfig) -> str:
    """Return the id of a meter's device: its name is unique, and stays if the device is replaced."""
    return f"meter-{meter.name}"


def device_of(
    meter: MeterConfig, reported: Mapping[str, str] | None = None, meters: Iterable[MeterConfig] = ()
) -> Device:
    """Return the device of a meter, with its kind and description; `reported` is overridden by the configuration.

    `meters` are all meters of the host.
    """
    found = {key: value for key, value in (reported or {}).items() if value}
    configured = {key: getattr(meter, key) for key in METER_BLOCK if getattr(meter, key)}
    block = {**found, **configured}
    if meter.feeds == "supply":
        block[_SUPPLIES] = str(sum(each.feeds == "supply" for each in meters) or 1)
    order = [*(key for key in METER_BLOCK if key in block), *(key for key in block if key not in METER_BLOCK)]
    kind = Kind.BOARD if meter.kind in _ON_THE_BOARD else Kind.HOST
    return Device(id_of(meter), kind, meter.name, (("meter", meter.kind), *((key, block[key]) for key in order)))


def supplies_of(channels: Iterable[Channel]) -> int:
    """Return the number of supplies with a meter, by the devices of some of these meters."""
    stated = (dict(channel.device.attributes).get(_SUPPLIES, "") for channel in channels)
    return max((int(each) for each in stated if each.isdecimal()), default=0)


def channel_of(
    meter: MeterConfig,
    meters: Iterable[MeterConfig],
    device: Device,
    metric: str,
    *,
    method: str,
    refresh_seconds: float,
    resolution: float,
) -> Channel:
    """Return a channel of a meter; the meters of the rack among `meters` contain those of the host."""
    racks = tuple((id_of(each), RACK) for each in meters if each.feeds == "rack")
    return Channel(
        device,
        DOMAINS[meter.feeds],
        metric,
        method=method,
        refresh_seconds=refresh_seconds,
        resolution=resolution,
        contained_in=() if meter.feeds == "rack" else racks,
        max_plausible=RACK_WATTS if meter.feeds == "rack" else 0.0,
    )
