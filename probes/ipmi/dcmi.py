"""Reads the output of `ipmitool dcmi power reading`; pure.

Interface: DCMI specification 1.5, Get Power Reading. ipmitool 1.8.19 prints time stamp and period on one line, older
versions on two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from probes.errors import ReadError
from probes.text import decoded

_WATTS = re.compile(r"^\s*Instantaneous power reading:\s*(\d{1,9})\s+Watts\s*$", re.MULTILINE | re.ASCII)
_STAMP = re.compile(r"^\s*IPMI timestamp:\s*(\S.*?)\s*(?:Sampling period:.*)?$", re.MULTILINE)
_STATE = re.compile(r"^\s*Power reading state is:\s*(\w+)\s*$", re.MULTILINE | re.ASCII)
NO_WATTS = frozenset({0, 0xFFFF})
"""No server that runs this program draws 0 W, and all ones is a register that did not answer."""


class DeactivatedError(ReadError):
    """The BMC does not measure, because its power measurement is deactivated."""


@dataclass(frozen=True, slots=True)
class DcmiReading:
    """The power of now in watts, and the time stamp as the BMC's clock has it.

    Minimum, maximum and average of the sampling period are statistics, not the power of now.
    """

    watts: int
    stamp: str


def parse(output: str) -> DcmiReading:
    """Return the reading. Raises ReadError if there is none, DeactivatedError if the BMC does not measure."""
    state, watts, stamp = _STATE.search(output), _WATTS.search(output), _STAMP.search(output)
    if state and state[1] != "activated":
        raise DeactivatedError(f"the power measurement of the BMC is {state[1]}")
    if watts is None:
        raise ReadError(f"ipmitool printed no power reading: {decoded(output[:200].encode())!r}")
    if int(watts[1]) in NO_WATTS:
        raise ReadError(f"the BMC reports {watts[1]} W, which is no reading")
    return DcmiReading(int(watts[1]), stamp[1] if stamp else "")
