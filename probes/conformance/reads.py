"""Checks of single reads: units, missing values, garbage, failures, hanging, counters alone."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from probes.conformance.bench import READ_SECONDS, SLACK_SECONDS, Bench, Reading, is_counter, key_of, needs, require
from probes.conformance.description import problems_have_remedies
from probes.deadline import Call, NoAnswerError
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import CounterReader, IsolatableProbe, Probe
from probes.plausibility import range_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from probes.conformance.host import Key
    from probes.model import Channel, IsolatedFile

_TOLERANCE = 1e-6
_WAIT_SECONDS = 0.1
_HANG_SECONDS = 5.0


def units(bench: Bench) -> str:
    """Check that gauges show the hardware's values in SI units, that counters grow as it does, and the range of all."""
    bench.discovered()
    bench.pass_time()  # a probe of time stamps returns nothing for the values that discovery read
    truth, first = bench.host.truth(), bench.read_all()
    unknown = truth.keys() - first.keys()
    require(not unknown, f"no channel reads {sorted(unknown)}")
    channels = {key_of(channel): channel for probe in bench.probes for channel in probe.channels}
    for key, value in truth.items():
        if not is_counter(channels[key]):
            _equal(channels[key], first[key], value)
    bench.advance()
    second, later = bench.read_all(), bench.host.truth()
    for key, channel in channels.items():
        if key in truth and is_counter(channel):
            _equal(channel, second[key] - first[key], later[key] - truth[key])
        if not is_counter(channel) and not math.isnan(second[key]):
            low, high = range_of(channel)
            require(low <= second[key] <= high, f"{'/'.join(key)} is {second[key]}, outside of {low} to {high}")
    return f"{len(truth)} of {len(channels)} channels are compared with the hardware"


def blanks(bench: Bench) -> str:
    """Check that the report of a missing value, such as all bits set, is never a number."""
    return _spoiled(bench, bench.host.blank())


def garbage(bench: Bench) -> str:
    """Check that text or bytes that are no value are never a number and raise nothing but ReadError."""
    return _spoiled(bench, bench.host.garble())


def failing_reads(bench: Bench) -> str:
    """Check that a failed read is NaN or ReadError, and that the next read works again."""
    known = _working(bench)
    bench.host.refuse()
    bench.step()
    readings = [bench.read(probe) for probe in bench.probes]
    for reading in readings:
        _require_no_number(bench, reading, "every read of the hardware fails")
    bench.host.repair()
    _require_recovery(bench, readings, known)
    return ", ".join(sorted({type(reading.error).__name__ if reading.error else "NaN" for reading in readings}))


def failing_discovery(bench: Bench) -> str:
    """Check that discovery with failing sensors raises ProbeUnavailableError or returns problems with remedies."""
    bench.host.refuse()
    try:
        found = bench.search()
    except ProbeUnavailableError as error:
        return f"unavailable: {error.reason}"
    problems_have_remedies(found.problems)
    for probe in found.probes:
        bench.step()
        _require_no_number(bench, bench.read(probe), "every read of the hardware fails")
    require(found.problems or found.probes, "discovery reports neither a problem nor a probe of the failing hardware")
    return f"{len(found.problems)} problems with remedies, {len(found.probes)} probes"


def hanging_reads(bench: Bench) -> str:
    """Check that a hanging read of a driver or a network ends by itself, and that one of files can be isolated."""
    bench.discovered()
    bench.read_all()
    bench.host.hang()
    bench.step()
    sentences = {_check_hanging(bench, probe) for probe in tuple(bench.probes)}
    bench.host.repair()
    return "; ".join(sorted(sentences))


def hanging_discovery(bench: Bench) -> str:
    """Check that discovery ends within its deadline if every sensor hangs."""
    bench.host.hang()
    began = time.monotonic()
    try:
        found = bench.search()
    except ProbeUnavailableError as error:
        return f"unavailable: {error.reason}"
    finally:
        seconds = time.monotonic() - began
        bench.host.repair()
    problems_have_remedies(found.problems)
    return f"ended after {seconds:.1f} s with {len(found.problems)} problems"


def counters_alone(bench: Bench) -> str:
    """Check that a probe that can read its counters alone returns them, and NaN for all other channels."""
    readers = [probe for probe in bench.discovered() if isinstance(probe, CounterReader)]
    needs(readers, "no probe reads its counters alone")
    for probe in readers:
        whole = bench.read(probe)
        bench.step()
        alone = probe.read_counters(bench.now_ns)
        for channel, value in zip(probe.channels, alone, strict=True):
            is_energy = channel.metric == "energy_joules"
            require(is_energy or math.isnan(value), f"read_counters of {probe.name} returns {channel.path} too")
            if is_energy and not math.isnan(whole.values[key_of(channel)]):
                sentence = f"read_counters of {probe.name} returns {value} after {whole.values[key_of(channel)]}"
                require(value >= whole.values[key_of(channel)], sentence)
    return f"{len(readers)} probes"


def _equal(channel: Channel, found: float, wanted: float) -> None:
    slack = max(abs(wanted) * _TOLERANCE, channel.resolution, 1e-9)
    sentence = f"{channel.path} {channel.metric} is {found}, and the hardware has {wanted} in SI units"
    require(abs(found - wanted) <= slack, sentence)


def _spoiled(bench: Bench, reports: Iterator[str]) -> str:
    known = _working(bench)
    count = 0
    readings: list[Reading] = []
    for report in reports:
        count += 1
        bench.step()
        readings = [bench.read(probe) for probe in bench.probes]
        for reading in readings:
            _require_no_number(bench, reading, f"the hardware reports {report}")
    require(count, "the fake host spoils nothing")
    bench.host.repair()
    _require_recovery(bench, readings, known)
    return f"{count} reports"


def _working(bench: Bench) -> set[Key]:
    """Discover and read; return the channels that have values."""
    bench.discovered()
    values: dict[Key, float] = {}
    for _ in range(2):  # a share of time has no value at the first read
        bench.pass_time()
        values = bench.read_all()
    return {key for key, value in values.items() if not math.isnan(value)}


def _require_no_number(bench: Bench, reading: Reading, situation: str) -> None:
    numbers = {key: value for key, value in reading.numbers.items() if key not in bench.host.constants}
    require(not numbers, f"{situation}, and {reading.probe.name} returns {numbers}")


def _require_recovery(bench: Bench, readings: list[Reading], known: set[Key]) -> None:
    """Check that the channels `known` have values again, unless their probe reported the device as lost."""
    for reading in readings:
        if isinstance(reading.error, DeviceLostError):
            continue
        again = reading
        for _ in range(3):  # a counter may need several readings to confirm its level
            bench.pass_time()
            again = bench.read(reading.probe)
        require(not again.error, f"{reading.probe.name} does not read the repaired hardware: {again.error}")
        missing = sorted(known.intersection(map(key_of, reading.probe.channels)) - again.numbers.keys())
        require(not missing, f"{reading.probe.name} has no values of {missing} after the fault was repaired")


def _check_hanging(bench: Bench, probe: Probe) -> str:
    call = Call(lambda: probe.read(bench.now_ns), f"conformance-hang-{probe.name}")
    if not probe.files_only:
        return _ends_by_itself(probe, call)
    if isinstance(probe, IsolatableProbe):
        return _is_isolated(bench, probe, call)
    try:
        call.result(_WAIT_SECONDS)
    except NoAnswerError:
        return "a hanging read stops its whole probe"
    except (ReadError, DeviceLostError):
        pass
    return "reads do not hang"


def _is_isolated(bench: Bench, probe: IsolatableProbe, call: Call[Sequence[float]]) -> str:
    """Check that each file in which the reads hang can be left out, and that its channels have no values then."""
    positions: set[int] = set()
    while (file := _hanging_file(probe, call)) is not None:
        require(file.path and file.channels, f"{probe.name} isolates a file without its path or channels: {file}")
        positions |= set(file.channels)
        call = Call(lambda: probe.read(bench.now_ns), f"conformance-hang-{probe.name}")
    reading = bench.read(probe)
    left_out = {key_of(probe.channels[position]) for position in positions}
    require(not left_out & reading.numbers.keys(), f"{probe.name} returns values of isolated files")
    return f"{len(positions)} channels of {probe.name} are isolated"


def _hanging_file(probe: IsolatableProbe, call: Call[Sequence[float]]) -> IsolatedFile | None:
    """Isolate the file in which a read hangs, and return it; None if the read ends."""
    ends = time.monotonic() + _HANG_SECONDS
    while time.monotonic() < ends:
        try:
            call.result(_WAIT_SECONDS)
        except NoAnswerError:
            if file := probe.isolate():
                return file
            continue  # the thread of the read has not started yet
        except (ReadError, DeviceLostError):
            return None
        return None
    raise AssertionError(f"{probe.name} isolates no file while a read hangs")


def _ends_by_itself(probe: Probe, call: Call[Sequence[float]]) -> str:
    began = time.monotonic()
    try:
        call.result(READ_SECONDS + SLACK_SECONDS)
    except NoAnswerError:
        raise AssertionError(f"a hanging read of {probe.name} did not end within {READ_SECONDS:g} s") from None
    except (ReadError, DeviceLostError):
        pass
    except Exception as error:
        raise AssertionError(f"a hanging read of {probe.name} ends with {error!r}, not with ReadError") from error
    return f"a hanging read ends after {time.monotonic() - began:.1f} s"
