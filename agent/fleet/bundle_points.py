"""The points of the profiles in bundles, without a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.bundles.importing import created_ns_of
from agent.fleet.place import ODD, Refused, reason_of
from store.profile_points import points_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.bundles.manifest import Bundle
    from store.profile_point import ProfilePoint


def points_of_bundles(
    bundles: Iterable[Bundle | Refused], report: Callable[[Refused], object]
) -> Iterator[ProfilePoint]:
    """Yield the points of the profiles of bundles; `report` receives each file that is none."""
    for bundle in bundles:
        if isinstance(bundle, Refused):
            report(bundle)
            continue
        try:
            points = points_of(bundle.document, bundle.manifest.uid, created_ns_of(bundle.document))
        except ODD as error:
            report(Refused(bundle.manifest.uid, reason_of(error)))
        else:
            yield from points
