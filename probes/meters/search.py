"""Connects to the configured meters of one family, all at the same time."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.deadline import Call, NoAnswerError
from probes.errors import ProbeUnavailableError, ReadError
from probes.meters.device import DOMAINS, id_of
from probes.meters.probe import MeterProbe
from probes.model import DiscoveryResult, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from probes.meters.probe import MeterSource
    from probes.settings import MeterConfig, SensorSettings

DISCOVERY_SECONDS = 5.0
"""The time limit of the first connection to a meter and its first read."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENCRYPTED = frozenset({"https", "mqtts"})


def discover_meters(
    family: str,
    kinds: Collection[str],
    settings: SensorSettings,
    connect: Callable[[MeterConfig], MeterSource],
    seconds: float = DISCOVERY_SECONDS,
) -> DiscoveryResult:
    """Connect to the configured meters of these kinds and read each once; a failure is a problem of its own.

    `connect` raises ProbeUnavailableError or ReadError. Raises ProbeUnavailableError if no meter is configured, without
    an import of the family's library.
    """
    meters = configured(kinds, settings)
    excluded = {meter: settings.exclusions(family, id_of(meter), DOMAINS[meter.feeds]) for meter in meters}
    calls = {
        meter: Call(partial(_opened, family, meter, settings, connect), f"meter-{meter.name}", MeterProbe.close)
        for meter in meters
        if not excluded[meter]
    }
    ends = time.monotonic() + seconds
    probes, problems = [], []
    for meter, call in calls.items():
        try:
            probes.append(call.result(ends - time.monotonic()))
        except NoAnswerError:
            reason = f"{meter.url} did not answer within {seconds:g} s"
            problems.append(problem_of(meter, reason, "check the address, the cable and the firewall"))
        except ProbeUnavailableError as error:
            problems.append(problem_of(meter, error.reason, error.remedy))
        except ReadError as error:
            cause = error.__cause__
            remedy = cause.remedy if isinstance(cause, ProbeUnavailableError) else "check the meter and its settings"
            problems.append(problem_of(meter, str(error), remedy))
    problems += [note for meter in calls if (note := unencrypted(meter))]
    return DiscoveryResult(tuple(probes), tuple(problems), frozenset[str]().union(*excluded.values()))


def configured(kinds: Collection[str], settings: SensorSettings) -> tuple[MeterConfig, ...]:
    """Return the configured meters of these kinds. Raises ProbeUnavailableError if there is none."""
    found = tuple(meter for meter in settings.meters if meter.kind in kinds)
    if not found:
        raise ProbeUnavailableError(f"no meter of kind {' or '.join(kinds)} is configured")
    return found


def problem_of(meter: MeterConfig, reason: str, remedy: str) -> Problem:
    """Return the problem of a meter that cannot be read."""
    return Problem(f"{id_of(meter)} ({meter.url})", reason, remedy)


def unencrypted(meter: MeterConfig) -> Problem | None:
    """Return a note if the secret of a meter crosses the network unencrypted."""
    parts = urlsplit(meter.url)
    is_encrypted = parts.scheme in _ENCRYPTED or (parts.scheme == "snmp" and meter.user) or parts.scheme == "ipmi"
    if not meter.password_file or is_encrypted or not parts.hostname or parts.hostname in _LOOPBACK:
        return None
    reason = f"{parts.scheme} sends its password without encryption"
    remedy = "use https, mqtts or SNMPv3 if the device has it; else give the password no other use"
    return Problem(id_of(meter), reason, remedy, is_unreadable=False)


def _opened(
    family: str, meter: MeterConfig, settings: SensorSettings, connect: Callable[[MeterConfig], MeterSource]
) -> MeterProbe:
    source = connect(meter)
    try:
        probe = MeterProbe(family, meter, source, settings.meters)
        probe.read(0)
    except BaseException:
        source.close()
        raise
    probe.rejections.clear()
    return probe
