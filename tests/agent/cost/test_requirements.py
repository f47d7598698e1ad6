"""Requirements refuse offers with the reason; a value that an offer does not give does not meet one."""

from __future__ import annotations

from typing import Any

import pytest

from agent.cost.offers import Offer
from agent.cost.requirements import RequirementError, Requirements, parse_requirements


def offer(**fields: Any) -> Offer:
    return Offer(name="cloud", price_per_hour=1, requests_per_second=1, **fields)


def test_every_requirement_is_read() -> None:
    found = parse_requirements(["on_premises, region=EU", "region=CH,certification=ISO 27001,confidential_share=30%"])
    assert found == Requirements(
        on_premises=True, regions=("EU", "CH"), certifications=("ISO 27001",), confidential_share=0.3
    )
    assert found.given
    assert parse_requirements(["confidential_share=0.3"]).confidential_share == 0.3
    assert parse_requirements([]) == Requirements()
    assert not Requirements().given


@pytest.mark.parametrize(
    "text",
    ["premises", "on_premises=yes", "region=", "region", "confidential_share=x", "confidential_share=1.1",
     "confidential_share=nan", "confidential_share=-1%", "on_premises;region=EU", "confidential_share"],
)  # fmt: skip
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(RequirementError, match=r"is not a requirement: give on_premises|is not a share: give 0.3"):
        parse_requirements([text])


def test_data_must_stay_on_the_premises() -> None:
    required = Requirements(on_premises=True)
    assert required.objections(offer(data_leaves_premises=False)) == ()
    assert required.objections(offer(data_leaves_premises=True)) == ("its data leaves the premises",)
    assert required.objections(offer()) == ("its data leaves the premises (assumed)",)


def test_the_region_is_one_of_the_allowed_in_any_case() -> None:
    required = Requirements(regions=("EU", "ch"))
    assert required.objections(offer(region="eu")) == ()
    assert required.objections(offer(region="CH")) == ()
    assert required.objections(offer(region="eu-west-2")) == ("its region is eu-west-2",)  # London
    assert required.objections(offer()) == ("its region is not given",)


def test_every_certification_is_needed() -> None:
    required = Requirements(certifications=("ISO 27001", "C5"))
    assert required.objections(offer(certifications=("c5", "SOC 2", "iso 27001"))) == ()
    assert required.objections(offer(certifications=("C5",))) == ("it has no certification ISO 27001",)


def test_the_confidential_share_binds_offers_whose_data_leaves() -> None:
    required = Requirements(confidential_share=0.3)
    assert required.owned_share(offer()) == 0.3
    assert required.owned_share(offer(data_leaves_premises=False)) == 0
