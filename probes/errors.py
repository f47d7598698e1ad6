"""The three ways in which a probe fails; the sampler handles each differently."""


class ProbeUnavailableError(Exception):
    """This probe has nothing to read here; raised only at discovery.

    `reason` states what was searched and found; `remedy` is empty if absence is normal.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class ReadError(Exception):
    """This read returned nothing; the next one may work."""


class DeviceLostError(Exception):
    """Every device of the probe is gone; the sampler stops this probe and continues with the others."""
