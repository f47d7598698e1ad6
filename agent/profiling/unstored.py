"""The samples of a run that are not in the store: they wait for it, or it cannot be written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from store.records import Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Layout, Tick


def unstored_samples(
    stored: Series, layouts: Sequence[Layout], ticks: Sequence[Tick], start_ns: int, end_ns: int
) -> Series:
    """Return the samples of the channel of `stored` in the ticks that start from `start_ns` to `end_ns`.

    Ticks that were stored meanwhile are left out: a layout's ticks are stored in their order.
    """
    last_ns = stored.times_ns[-1] if stored.times_ns else 0
    places = {
        layout.id: position
        for layout in layouts
        for position, channel in enumerate(layout.channels)
        if channel.key == stored.channel.key
    }
    own = [
        (tick, places[tick.layout])
        for tick in ticks
        if tick.layout in places and start_ns <= tick.start_ns <= end_ns and _middle_ns(tick) > last_ns
    ]
    given = [(tick, position) for tick, position in own if not math.isnan(tick.values[position])]
    return Series(
        stored.channel,
        [_middle_ns(tick) for tick, _ in given],
        [tick.values[position] for tick, position in given],
        tuple(
            (tick.start_ns, each.reason)
            for tick, position in own
            for each in tick.rejections
            if each.channel == position
        ),
        [(tick.end_ns - tick.start_ns + 1) // 2 for tick, _ in given],
    )


def _middle_ns(tick: Tick) -> int:
    return (tick.start_ns + tick.end_ns) // 2
