import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_tpu import BUSY, gauge, message, reply, varint
from probes.tpu.messages import gauges, request


def test_a_request_has_the_name_of_its_metric():
    assert request("a.b") == b"\x0a\x03a.b"
    assert request(BUSY) == message(1, BUSY.encode())


def test_a_reply_has_the_values_of_its_devices():
    assert gauges(reply(BUSY, {0: 12.5, 3: 99.0})) == {0: 12.5, 3: 99.0}
    assert gauges(reply(BUSY, {0: 1 << 40})) == {0: float(1 << 40)}


def test_an_entry_without_a_device_or_a_gauge_is_left_out():
    number = message(1, message(2, varint(3 << 3) + varint(1)))
    assert gauges(message(1, message(3, message(3, gauge(5))))) == {}
    assert gauges(message(1, message(3, number))) == {}
    assert gauges(message(1, message(3, number + message(3, gauge(5))))) == {1: 5.0}


def test_an_impossible_device_is_left_out():
    assert gauges(reply(BUSY, {1 << 30: 1.0})) == {}


def test_fields_of_other_types_are_passed_over():
    other = varint(9 << 3 | 5) + b"abcd" + varint(10 << 3 | 1) + b"abcdefgh" + varint(11 << 3) + varint(7)
    assert gauges(other + reply(BUSY, {0: 12.5})) == {0: 12.5}


@pytest.mark.parametrize("damaged", [b"\x0a", b"\x0a\x05ab", b"\xff" * 12, b"\x0b", b"\x09abc", b"\x08"])
def test_a_damaged_reply_is_an_error(damaged):
    with pytest.raises(ValueError, match="byte"):
        gauges(damaged)


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_a_value_error(content):
    try:
        found = gauges(content)
    except ValueError:
        return
    assert all(isinstance(value, float) for value in found.values())


@given(st.dictionaries(st.integers(0, 4095), st.floats(allow_nan=False)))
def test_every_reply_is_decoded(values):
    assert gauges(reply(BUSY, values)) == values
