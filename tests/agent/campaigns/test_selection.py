"""Names of many hosts in one text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.campaigns.errors import CampaignError
from agent.campaigns.selection import NAME, expanded, selects


def test_ranges_keep_their_leading_zeros() -> None:
    assert expanded("node[08-11,200].site") == tuple(f"node{n}.site" for n in ("08", "09", "10", "11", "200"))
    assert expanded("edge-1") == ("edge-1",)


@given(st.text(max_size=40))
def test_every_expanded_name_is_safe_as_a_word_and_as_a_file(text: str) -> None:
    try:
        names = expanded(text)
    except CampaignError:
        return
    assert all(NAME.fullmatch(name) and "/" not in name and not name.startswith("-") for name in names)


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [("gpu-1", True), ("gpu-*", True), ("gpu", False), ("site=berlin", True), ("site=b*", True), ("rack=*", False)],
)
def test_a_selector_is_a_name_a_pattern_or_a_label(selector: str, chosen: bool) -> None:
    assert selects(selector, "gpu-1", {"site": "berlin"}) is chosen
