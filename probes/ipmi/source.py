"""Asks one BMC through ipmitool: this host's own over the kernel's driver, or one over the network (RMCP+)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from probes.commands import Program, find
from probes.errors import ProbeUnavailableError, ReadError
from probes.ipmi.dcmi import DcmiReading, DeactivatedError, parse
from probes.meters.probe import Quantity, Reading
from probes.meters.secrets import secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.model import Roots
    from probes.settings import MeterConfig

LOCAL = "local"
RUN_SECONDS = 9.0
LOCAL_SECONDS = 2.0
NETWORK_SECONDS = 5.0
"""The time between two readings. Each starts a program, and over the network opens a session of the BMC."""
LONGEST_PASSWORD_BYTES = 20
"""The longest password of IPMI 2.0."""
_NODES = ("ipmi0", "ipmi/0", "ipmidev/0")
_IN_BAND: tuple[str, ...] = ("-I", "open")
_READING = ("dcmi", "power", "reading")
_REMEDIES: Mapping[str, str] = {
    "c1": "this BMC has no DCMI power reading: use its Redfish service (kind = redfish), or nothing",
    "no such file": "sudo modprobe ipmi_devintf ipmi_si",
    "permission denied": "run as root; for the service: sudo inferometer service install --enable ipmi",
    "not permitted": "sudo inferometer service install --enable ipmi, which lets the service reach this address",
    "unable to establish": "check the address, that the BMC allows IPMI over LAN, and user and password_file",
}
_OTHER = "run `ipmitool dcmi power reading` by hand; it needs DCMI in the BMC"


class IpmiSource:
    """The power of one BMC. A reading is not new if neither the value nor the time stamp of a running clock changed."""

    def __init__(self, program: Program, arguments: Sequence[str], interval_seconds: float, version: str) -> None:
        self.quantities: tuple[Quantity, ...] = (Quantity("power_watts", "bmc", interval_seconds, 1.0),)
        self.reported: Mapping[str, str] = {"program": version} if version else {}
        self.interval_seconds = interval_seconds
        self._program, self._arguments = program, tuple(arguments)
        self._last: DcmiReading | None = None
        self._clock_runs = False

    def read(self) -> Reading | None:
        """Return the power of now, None if it is that of the read before. Raises ReadError."""
        began_ns = time.monotonic_ns()
        found = parse(self._program.run(*self._arguments, *_READING))
        last, self._last = self._last, found
        self._clock_runs |= last is not None and last.stamp != found.stamp
        if self._clock_runs and found == last:
            return None
        return Reading(float(found.watts), None, (began_ns, time.monotonic_ns()))

    def close(self) -> None:
        """End the program."""
        self._program.close()


def connect(roots: Roots, meter: MeterConfig) -> IpmiSource:
    """Return the source of a BMC after one reading. Raises ProbeUnavailableError with the remedy."""
    try:
        path = find(roots, "ipmitool")
    except ProbeUnavailableError as error:
        raise ProbeUnavailableError(error.reason, "install it: sudo apt install ipmitool") from error
    if meter.url == LOCAL:
        _check_node(Path(roots.dev))
        program, arguments, seconds = Program(path, RUN_SECONDS), _IN_BAND, LOCAL_SECONDS
    else:
        arguments, environment = _over_network(meter)
        program, seconds = Program(path, RUN_SECONDS, environment), NETWORK_SECONDS
    source = IpmiSource(program, arguments, meter.refresh_seconds or seconds, _version(program))
    try:
        source.read()
    except DeactivatedError as error:
        raise ProbeUnavailableError(str(error), "activate it: ipmitool dcmi power activate") from error
    except ReadError as error:
        said = str(error).lower()
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in said), _OTHER)
        raise ProbeUnavailableError(str(error), remedy) from error
    return source


def _over_network(meter: MeterConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the arguments and the environment for a BMC; the password is in the environment of the program alone."""
    parts = urlsplit(meter.url)
    arguments = ["-I", "lanplus", "-H", parts.hostname or "", "-p", str(parts.port or 623), "-L", "USER", "-N", "2"]
    environment = {}
    if meter.user:
        password = secret(meter.password_file)
        if len(password.encode()) > LONGEST_PASSWORD_BYTES:
            reason = f"{meter.password_file}: IPMI has passwords of at most {LONGEST_PASSWORD_BYTES} bytes"
            raise ProbeUnavailableError(reason, "give the user of the BMC a shorter password")
        arguments += ["-U", meter.user, "-E"]
        environment["IPMI_PASSWORD"] = password
    return tuple(arguments), environment


def _check_node(dev: Path) -> None:
    node = next((dev / name for name in _NODES if (dev / name).exists()), None)
    if node is None:
        reason = f"{dev / _NODES[0]} does not exist: no BMC, or no driver"
        raise ProbeUnavailableError(reason, _REMEDIES["no such file"])
    if not os.access(node, os.R_OK | os.W_OK):
        raise ProbeUnavailableError(f"{node}: permission denied", _REMEDIES["permission denied"])


def _version(program: Program) -> str:
    try:
        return program.run("-V").strip()
    except ReadError:
        return ""
