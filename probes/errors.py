"""The three ways a probe fails, each with its own answer in the sampler."""


class ProbeUnavailableError(Exception):
    """There is nothing this probe can read here: said once, at discovery.

    `reason` says what was looked for and found; `remedy` what to do, empty where absence is the normal case.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class ReadError(Exception):
    """This read gave nothing; the next beat may work."""


class DeviceLostError(Exception):
    """Every device of the probe is gone: the sampler stops this probe and keeps the rest."""
