"""Requests for performance counters, built from the files of a PMU, and real counters of this kernel."""

import errno
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_perf import FakePerf
from probes.errors import ReadError
from probes.perf_events import (
    SYSTEM,
    Field,
    PerfCounter,
    encode,
    find_pmu,
    parse_cpus,
    parse_field,
    parse_terms,
)
from probes.sysfs import errno_of
from trees import FIXTURES, write

REFUSED = {errno.EACCES, errno.EPERM, errno.ENOSYS}


@pytest.mark.parametrize(
    ("text", "cpus"), [("0,24\n", (0, 24)), ("0-3,8", (0, 1, 2, 3, 8)), ("0", (0,)), ("", ()), ("5-4", ())]
)
def test_a_mask_lists_cpus_and_ranges(text, cpus):
    assert parse_cpus(text) == cpus


@pytest.mark.parametrize("text", ["a", "1,,2", "0-99999999999", "-1", "0,9000"])
def test_a_wrong_mask_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("config:0-7\n", Field(0, tuple(range(8)))),
        ("config1:5", Field(1, (5,))),
        ("config2:0-1,32-33", Field(2, (0, 1, 32, 33))),
        ("config:60-63", Field(0, (60, 61, 62, 63))),
    ],
)
def test_a_format_names_the_bits_of_a_term(text, field):
    assert parse_field(text) == field


@pytest.mark.parametrize("text", ["", "config3:0-7", "config:64", "config:7-0", "event", "config:0-7x"])
def test_an_unknown_format_is_no_field(text):
    assert parse_field(text) is None


def test_terms_have_a_value_or_are_set():
    assert parse_terms("event=0x02,umask=16,inv") == {"event": 2, "umask": 16, "inv": 1}


def test_the_terms_of_an_event_fill_their_bits_of_each_word():
    fields = {
        "event": parse_field("config:0-11"),
        "class": parse_field("config:20-27"),
        "gt": parse_field("config:60-63"),
    }
    fields |= {"more": parse_field("config1:0-3,8-11"), "port": parse_field("config2:4")}
    assert encode(fields, {"event": 2, "class": 3, "gt": 1}) == (1 << 60 | 3 << 20 | 2, 0, 0)
    assert encode(fields, {"more": 0xAB, "port": 1}) == (0, 0xA0B, 1 << 4)


@pytest.mark.parametrize("terms", [{"unknown": 1}, {"event": 256}, {"event": -1}])
def test_a_term_without_a_place_is_refused(terms):
    with pytest.raises(ValueError, match="no place"):
        encode({"event": Field(0, tuple(range(8)))}, terms)


@given(st.integers(0, 2**12 - 1), st.permutations(range(64)))
def test_each_bit_of_a_value_is_at_its_place(value, places):
    config, *others = encode({"event": Field(0, tuple(places[:12]))}, {"event": value})
    assert sum((config >> place & 1) << bit for bit, place in enumerate(places[:12])) == value
    assert others == [0, 0]


def test_a_request_has_the_layout_of_the_kernel():
    kernel = FakePerf()
    PerfCounter("event", 22, (0x1111, 0x2222, 0x3333), 24, kernel).close()
    (attributes,) = kernel.attributes
    assert len(attributes) == 112
    assert struct.unpack_from("=IIQ", attributes) == (22, 112, 0x1111)
    assert struct.unpack_from("=QQ", attributes, 56) == (0x2222, 0x3333)
    assert set(attributes[16:56]) | set(attributes[72:]) == {0}


def test_an_event_has_the_words_the_scale_and_the_unit_of_its_files():
    pmu = find_pmu(FIXTURES / "trees/rapl_pmu/sys", "power")
    event = pmu.event("energy-ram")
    assert (event.config, event.scale, event.unit) == ((3, 0, 0), 2**-32, "Joules")
    assert pmu.cpus == (0, 24)
    assert pmu.event("energy-none") is None


@pytest.mark.parametrize(
    ("file", "text"), [("energy-pkg", "event=0x02,umask=1"), ("energy-pkg.scale", "many"), ("energy-pkg.scale", "0")]
)
def test_an_event_that_the_files_do_not_explain_is_left_out(tmp_path, file, text):
    folder = tmp_path / "bus/event_source/devices/power"
    for name, content in {"type": 22, "format/event": "config:0-7", "events/energy-pkg": "event=0x02"}.items():
        write(folder / name, content)
    assert find_pmu(tmp_path, "power").event("energy-pkg").scale == 1.0
    write(folder / "events" / file, text)
    assert find_pmu(tmp_path, "power").event("energy-pkg") is None


def test_without_the_pmu_there_is_none(tmp_path):
    assert find_pmu(tmp_path, "power") is None


@pytest.mark.parametrize(
    ("failure", "answer", "number"), [(OSError(errno.EIO, "x"), None, errno.EIO), (None, b"", errno.ENODEV)]
)
def test_a_read_without_a_count_is_an_error(failure, answer, number):
    kernel = FakePerf()
    counter = PerfCounter("power/energy-pkg/", 22, (2, 0, 0), 0, kernel)
    kernel.failure, kernel.answer = failure, answer
    with pytest.raises(ReadError, match="energy-pkg") as refused:
        counter.read()
    assert errno_of(refused.value) == number
    counter.close()
    counter.close()


def real_counter(pmu_type, config):
    """Open a counter of CPU 0 in this kernel; None if it refuses this user."""
    try:
        return PerfCounter("real", pmu_type, config, 0)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return None


def test_the_kernel_counts_the_time_of_a_cpu():
    software, cpu_clock = 1, (0, 0, 0)
    counter = real_counter(software, cpu_clock)
    if counter:
        first = counter.read()
        for _ in range(1_000_000):
            if (second := counter.read()) > first:
                break
        assert 0 < first < second < 10**13
        counter.close()


def test_the_kernel_counts_the_clock_of_its_own_pmu():
    pmu = find_pmu(Path("/sys"), "msr")
    event = pmu and pmu.event("tsc")
    counter = event and real_counter(pmu._type, event.config)
    if counter:
        assert 0 <= counter.read() < counter.read()
        counter.close()


def test_the_kernel_refuses_a_cpu_that_does_not_exist():
    with pytest.raises(OSError, match=r".+") as refused:
        PerfCounter("real", 1, (0, 0, 0), 8000)
    assert refused.value.errno in REFUSED | {errno.EINVAL, errno.ENODEV}


def test_another_architecture_has_no_perf_events(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(OSError, match="vax"):
        SYSTEM.open(b"", 0)
