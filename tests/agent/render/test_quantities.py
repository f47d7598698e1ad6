from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.render.quantities import bytes_of, moment_ns, rfc3339, seconds_of, share_of

SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), (".5", 0.5), ("0.1%", 0.001)])
def test_a_share_is_a_percentage_or_a_fraction(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "1", "5", "100%", "-5%", "five", "5%%", "1e-2", "nan"])
def test_a_text_that_is_not_a_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a share; write it as 5% or 0\.05"):
        share_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("1.5h", 5400), ("2d", 172_800), ("1w", 604_800)]
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "1 h", "-1h", "1y", "1h30m", "1e3s", "infs"])
def test_a_text_that_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it as 90s"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1234", 1234),
        ("12B", 12),
        ("2kB", 2000),
        ("2KB", 2000),
        ("1.5 MB", 1_500_000),
        ("2GiB", 2 << 30),
        ("1KiB", 1024),
        ("1kiB", 1024),
        ("1TB", 10**12),
    ],
)
def test_a_size_counts_in_thousands_or_with_an_i_in_1024s(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2G", "2iB", "-1GB", "2 gigabytes", "1,5GB"])
def test_a_text_that_is_not_a_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it as 500MB"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("90s", 910 * SECOND_NS),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:01.5Z", 1_500_000_000),
        ("1970-01-01t00:00:00.000000001z", 1),
        ("1969-12-31T23:59:59.25Z", 0),
    ],
)
def test_a_time_is_a_duration_ago_or_a_timestamp_with_its_offset(text: str, at_ns: int) -> None:
    assert moment_ns(text, 1000 * SECOND_NS) == at_ns


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-31", "2026-01-31T08:30:00", "2026-02-30T00:00:00Z", "2026-01-31T25:00:00Z"]
)
def test_a_text_that_is_not_a_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write it as 15m, 2d or 2026-01-31T08:30:00Z"):
        moment_ns(text, 0)


@given(st.integers(0, 4_000_000_000 * SECOND_NS))
def test_a_printed_time_is_the_same_when_it_is_read_back(at_ns: int) -> None:
    shown = rfc3339(at_ns)
    assert moment_ns(shown, 0) == at_ns
    assert datetime.fromisoformat(shown).timestamp() == pytest.approx(at_ns / SECOND_NS, abs=2e-6)


@pytest.mark.parametrize(
    ("text", "moment"), [("99999999d", 0), ("1900-01-01T00:00:00Z", 0), ("9999-01-01T00:00:00Z", (1 << 63) - 1)]
)
def test_a_time_outside_the_range_of_the_database_becomes_the_nearest_one(text: str, moment: int) -> None:
    assert moment_ns(text, 1_700_000_000 * SECOND_NS) == moment
