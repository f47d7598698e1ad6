"""Two names of one sensor are found by their values; two sensors that look alike for a while stay two."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.energy.containment import containers_among
from agent.energy.counted_sensors import cover
from agent.energy.duplicates import find_duplicates, is_duplicate
from probes.model import Channel, Device, Kind, Source
from simulated import SECOND
from store.records import Series

READS = 100
UNEVEN, OTHER = (tuple(number / 1e6 for number in random.Random(seed).sample(range(100_000), READS)) for seed in (7, 8))
STEADY = (0.05,) * READS


def counter(device="package-0", domain="package", kind=Kind.CPU, within=()):
    return Channel(Device(device, kind), domain, "energy_joules", contained_in=within)


def meter(device, kind=Kind.BOARD, domain="wall"):
    return Channel(Device(device, kind), domain, "power_watts")


def counted(channel, steps, start=0.0):
    values = tuple(accumulate(steps, initial=start))
    return Series(channel, tuple(number * SECOND // 100 for number in range(len(values))), values)


def shown(channel, values, *, late_ns=0, each=1):
    times = tuple(number * SECOND // 100 + late_ns for number in range(each * len(values)))
    return Series(channel, times, tuple(value for value in values for _ in range(each)))


ZONE, DUPLICATE = counter(), counter("mmio-package-0")


def polled(channel, truth, offset_ns=0, period_ns=100_000_000, reads=120):
    """A gauge that is polled: `truth` gives what its sensor shows at a moment."""
    times = tuple(offset_ns + number * period_ns for number in range(reads))
    return Series(channel, times, tuple(truth(at) for at in times))


def latched(seed, update_ns, step=0.01):
    """Return a sensor of fine values that holds each for `update_ns`."""
    noise = random.Random(seed)
    values = [round(noise.uniform(10, 30) / step) * step for _ in range(2000)]
    return lambda at: values[at // update_ns]


def driven(chip, bus, domain="cpu", kind=Kind.CPU):
    return Channel(Device(bus, kind, "", (("chip", chip),)), domain, "power_watts")


XGENE, ALTRA = driven("apm_xgene", "APMC0D29:00"), driven("altra_hwmon", "altra_hwmon.0")


@pytest.mark.parametrize("offset_ns", [0, 1_000, 10_000_000, 20_000_000, 45_000_000])
@pytest.mark.parametrize("update_ns", [30_000_000, 100_000_000, 370_000_000])
def test_one_meter_through_two_drivers_counts_once_at_any_read_times(offset_ns, update_ns):
    truth = latched(5, update_ns)
    one, other = polled(XGENE, truth), polled(ALTRA, truth, offset_ns + 1)
    if offset_ns < update_ns / 2:
        assert is_duplicate(one, other)
        assert [channel.device.id for channel in cover([one, other]).includes] == ["APMC0D29:00"]


@given(st.integers(0, 10_000), st.sampled_from((0.001, 0.01, 1.0, 5.0)), st.sampled_from((30_000_000, 370_000_000)))
def test_two_meters_with_any_step_are_two(seed, step, update_ns):
    one = polled(XGENE, latched(seed, update_ns, step))
    assert not is_duplicate(one, polled(ALTRA, latched(seed + 20_000, update_ns, step), 1_000))


@given(st.integers(0, 10_000), st.sampled_from((0.001, 1.0)))
def test_two_sockets_under_one_load_are_two(seed, step):
    load, noise = latched(seed, 500_000_000, 1.0), random.Random(seed)

    def socket(at):
        return round((load(at) + noise.gauss(0, 0.3)) / step) * step

    assert not is_duplicate(polled(XGENE, socket), polled(ALTRA, socket, 1_000))


def test_meters_that_are_equal_at_any_time_prove_nothing():
    fine, coarse = latched(3, 10**12, 0.001), latched(3, 50_000_000, 4.0)
    one = polled(XGENE, lambda at: fine(at) + at // SECOND % 2 * 0.001)  # one of two values, whenever it is read
    assert not is_duplicate(one, polled(ALTRA, lambda at: fine(at) + (at // SECOND + 1) % 2 * 0.001, 100_000))
    assert not is_duplicate(polled(XGENE, coarse), polled(ALTRA, coarse, 60_000_000))


@pytest.mark.parametrize(
    ("watts", "other", "channel", "same"),
    [
        (16.28, 16.28, ALTRA, True),
        (16.28, 16.29, ALTRA, False),
        (16.0, 16.0, ALTRA, False),  # whole watts are equal by chance
        (16.28, 16.28, driven("apm_xgene", "APMC0D29:01"), False),  # the second socket, read by the same driver
        (16.28, 16.28, driven("altra_hwmon", "altra_hwmon.0", "io"), False),
        (16.28, 16.28, driven("altra_hwmon", "altra_hwmon.0", kind=Kind.BOARD), False),
        (16.28, 16.28, Channel(Device("bare", Kind.CPU), "cpu", "power_watts"), False),
    ],
)
def test_two_drivers_that_show_one_fine_value_read_one_meter(watts, other, channel, same):
    one, its = polled(XGENE, lambda _: watts), polled(channel, lambda _: other, 1_000)
    assert is_duplicate(one, its) is same


def test_the_two_drivers_of_an_ampere_server_count_the_processor_once():
    io = driven("apm_xgene", "APMC0D29:00", "io")
    series = [polled(XGENE, lambda _: 16.28), polled(io, lambda _: 31.9), polled(ALTRA, lambda _: 16.28, 1_000)]
    covered = cover(series)
    assert sorted(channel.place for channel in covered.includes) == [
        ("APMC0D29:00", "cpu"),
        ("APMC0D29:00", "io"),
    ]
    assert "altra_hwmon.0/cpu (a duplicate of APMC0D29:00/cpu)" in covered.not_covered


@pytest.mark.parametrize("start", [0.0, 4242.123456])
def test_two_counters_with_the_same_varying_steps_are_one(start):
    assert is_duplicate(counted(ZONE, UNEVEN), counted(DUPLICATE, UNEVEN, start))


def test_a_counter_that_changes_between_the_reads_of_its_two_names_is_one():
    late = list(UNEVEN)
    for at in (10, 50, 90):  # this read of the duplicate saw a step that the zone's missed
        late[at], late[at + 1] = late[at] + 0.01, late[at + 1] - 0.01
    assert is_duplicate(counted(ZONE, UNEVEN), counted(DUPLICATE, late))


def test_equal_even_steps_prove_nothing():
    assert not is_duplicate(counted(ZONE, STEADY), counted(DUPLICATE, STEADY))
    few = UNEVEN[:8] + STEADY
    assert not is_duplicate(counted(ZONE, few), counted(DUPLICATE, few))


def test_counters_that_diverge_are_two():
    assert not is_duplicate(counted(ZONE, UNEVEN), counted(DUPLICATE, UNEVEN[:50] + OTHER[50:]))
    assert not is_duplicate(counted(ZONE, UNEVEN), counted(DUPLICATE, STEADY))


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)), min_size=12, max_size=60))
def test_counters_that_differ_in_one_step_of_five_are_two(steps):
    mine = [a / 1e6 for a, _ in steps]
    its = [(a if number % 5 else a + b) / 1e6 for number, (a, b) in enumerate(steps)]
    assert not is_duplicate(counted(ZONE, mine), counted(DUPLICATE, its))


def test_a_model_or_another_metric_is_not_a_duplicate():
    modelled = replace(DUPLICATE, source=Source.ESTIMATED)
    watts = replace(DUPLICATE, metric="power_watts")
    for other in (modelled, watts):
        assert not is_duplicate(counted(ZONE, UNEVEN), counted(other, UNEVEN))


def test_supplies_that_share_a_load_show_the_same_and_are_two():
    supplies = [shown(meter(name, Kind.PSU), UNEVEN) for name in ("7-0058", "7-0059")]
    assert not is_duplicate(*supplies)


@pytest.mark.parametrize("late_ns", [0, 3_000_000])
def test_one_meter_under_two_names_is_one_if_read_at_different_times(late_ns):
    first = shown(meter("ACPI000D:00"), UNEVEN, each=5)
    second = shown(meter("ACPI000D:01"), UNEVEN[1:], late_ns=late_ns, each=5)
    assert is_duplicate(first, second)
    for values in (OTHER, UNEVEN[::-1]):
        assert not is_duplicate(first, shown(meter("ACPI000D:01"), values, late_ns=late_ns, each=5))


def test_a_part_equal_to_its_container_is_not_a_duplicate():
    core = counter(domain="core", within=(("package-0", "package"),))
    both = [counted(ZONE, UNEVEN), counted(core, UNEVEN)]
    containers = containers_among(each.channel for each in both)
    assert find_duplicates(both, containers) == find_duplicates(both[::-1], containers) == {}


def test_the_first_of_three_names_of_a_counter_counts():
    names = [counter(name) for name in ("a", "b", "c")]
    found = find_duplicates([counted(name, UNEVEN) for name in names], {})
    assert found == {("b", "package"): ("a", "package"), ("c", "package"): ("a", "package")}


def test_a_duplicate_zone_counts_once_with_its_parts_and_is_named():
    inner = counter("package-1", "core", within=(("package-1", "package"),))
    second = counter("package-1")
    steps = {ZONE: UNEVEN, second: UNEVEN, inner: tuple(step / 2 for step in UNEVEN)}
    found = cover([counted(channel, own) for channel, own in steps.items()])
    assert found.includes == (ZONE,)
    assert found.not_covered[0] == "package-1/package (a duplicate of package-0/package)"
    assert len(found.not_covered) == len(set(found.not_covered))
    apart = cover([counted(ZONE, UNEVEN), counted(second, OTHER), counted(inner, STEADY)])
    assert apart.includes == (ZONE, second)
