"""The output of `ipmitool dcmi power reading`."""

from pathlib import Path

import pytest

from probes.errors import ReadError
from probes.ipmi.dcmi import DcmiReading, DeactivatedError, parse

FIXTURES = Path(__file__).parents[2] / "fixtures/ipmi"
CAPTURE = (FIXTURES / "ipmitool_dcmi_power_reading.txt").read_text(encoding="utf-8")
OLDER = (FIXTURES / "ipmitool_dcmi_power_reading_older.txt").read_text(encoding="utf-8")


def test_the_power_of_now_is_read_and_no_statistic():
    assert parse(CAPTURE) == DcmiReading(344, "11/22/26 18:21:22 UTC")


def test_the_layout_of_older_versions_has_the_period_on_a_line_of_its_own():
    assert parse(OLDER) == DcmiReading(2578, "Wed Feb 14 17:09:10 2024")


def test_a_deactivated_measurement_is_no_power():
    with pytest.raises(DeactivatedError, match="deactivated"):
        parse(CAPTURE.replace("activated", "deactivated"))


@pytest.mark.parametrize("watts", ["0", "65535"])
def test_zero_and_all_ones_are_no_power(watts):
    with pytest.raises(ReadError, match=f"{watts} W"):
        parse(CAPTURE.replace("344", watts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CAPTURE[:30],
        "DCMI request failed because: Invalid command (c1)",
        "Instantaneous power reading: many Watts",
        "Instantaneous power reading: 344 kW",
        "Average power reading over sample period: 319 Watts",
        "\ufffd" * 1000,
        "Instantaneous power reading: ٣٤٤ Watts",
    ],
)
def test_any_other_text_is_no_reading(text):
    with pytest.raises(ReadError):
        parse(text)


def test_the_order_of_the_lines_does_not_matter():
    assert parse("\n".join(reversed(CAPTURE.splitlines()))) == parse(CAPTURE)
