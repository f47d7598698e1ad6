"""Hard constraints: the premises, regions and certifications of offers, and the confidential share of the demand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cost.offers import Offer

_KEYS = "on_premises, region=EU, certification=ISO 27001, confidential_share=0.3"


class RequirementError(ValueError):
    """A requirement is invalid: the message names it and the known ones."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The constraints of a demand; own machines are assumed to meet all of them.

    With `on_premises` no data leaves the premises. An offer's region must be one of `regions`, and it must have all
    `certifications`. `confidential_share` is the share of the demand, at any time, that stays on the premises.
    """

    on_premises: bool = False
    regions: tuple[str, ...] = ()
    certifications: tuple[str, ...] = ()
    confidential_share: float = 0.0

    @property
    def given(self) -> bool:
        """Whether there is a constraint."""
        return self != Requirements()

    def objections(self, offer: Offer) -> tuple[str, ...]:
        """Return the reasons for which an offer is not allowed; a value that it does not give is one."""
        found = []
        if self.on_premises and offer.leaves_premises:
            found.append(f"its data leaves the premises{'' if offer.data_leaves_premises else ' (assumed)'}")
        if self.regions and (offer.region or "").casefold() not in {region.casefold() for region in self.regions}:
            found.append(f"its region is {offer.region}" if offer.region else "its region is not given")
        own = {each.casefold() for each in offer.certifications}
        found += [f"it has no certification {each}" for each in self.certifications if each.casefold() not in own]
        return tuple(found)

    def owned_share(self, offer: Offer) -> float:
        """Return the share of the demand that an offer may not serve."""
        return self.confidential_share if offer.leaves_premises else 0.0


def parse_requirements(texts: tuple[str, ...] | list[str]) -> Requirements:
    """Return the requirements of texts such as `on_premises,region=EU`. Raises RequirementError."""
    on_premises, share = False, 0.0
    regions: list[str] = []
    certifications: list[str] = []
    for text in ",".join(texts).split(","):
        key, equals, value = (part.strip() for part in text.partition("="))
        if key == "on_premises" and not equals:
            on_premises = True
        elif key == "region" and value:
            regions.append(value)
        elif key == "certification" and value:
            certifications.append(value)
        elif key == "confidential_share" and equals:
            share = _share(value)
        elif text.strip():
            raise RequirementError(f"{text.strip()[:80]!r} is not a requirement: give {_KEYS}")
    return Requirements(on_premises, tuple(regions), tuple(certifications), share)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise RequirementError(f"confidential_share={text[:80]} is not a share: give 0.3 or 30%")
    return share
