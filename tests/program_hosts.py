"""Fake hosts whose sensors are what one program of a vendor prints."""

from __future__ import annotations

from probes.conformance import FakeHost, NotOfferedError
from trees import write
from vendor_programs import VendorProgram

GARBAGE = (b"", b"\n", b"garbage", b"\xff\xfe\x00", b"[1, 2", b"{}", b"[null]", b"|||\n|||", b",,,", b"9" * 100_000)
"""Outputs that no program of a vendor has for a working device."""
WORDS = ("N/A", "-", "", "[Not Supported]", "null")
"""Texts in the place of a value that is missing."""


class ProgramHost(FakeHost):
    """A host with the program `name`, whose output is that of `output(texts, rows)`.

    `texts` are the printed values by their channels, and `rows` the order of the devices. A subclass has `output`, the
    printed values `printed`, and the values in SI units `shown`.
    """

    step_seconds = 20.0
    name = ""
    nothing = "no device found\n"
    rows = (0, 1)

    def __init__(self, folder, roots, program=VendorProgram, cards=()):
        super().__init__(roots)
        self.statuses = [write(card / "power/runtime_status", "active") for card in cards]
        self.runs_before = 0
        self.program = program(folder, self.name)
        self.order = list(self.rows)
        self.show()

    def show(self):
        self.program.prints(self.output(self.printed, self.order))

    def truth(self):
        return self.shown

    def advance(self, seconds):
        """Let the time pass: every value is a gauge."""

    def blank(self):
        for word in WORDS:
            self.program.prints(self.output(dict.fromkeys(self.printed, word), self.order))
            yield repr(word)

    def garble(self):
        for content in GARBAGE:
            self.program.prints(content)
            yield repr(content[:20])

    def refuse(self):
        self.program.prints("", status=1, error="the driver does not answer")

    def hang(self):
        self.program.runs("sleep 600")

    def suspend(self):
        if not self.statuses:
            raise NotOfferedError("suspend")
        for status in self.statuses:
            write(status, "suspended")
        self.runs_before = len(self.program.calls)

    def touched(self):
        return self.program.calls[self.runs_before :]

    def repair(self):
        self.show()

    def unplug(self):
        self.program.prints(self.nothing)

    def replug(self):
        self.show()

    def renumber(self):
        if len(self.order) == 1:
            raise NotOfferedError("renumber")
        self.order.reverse()
        self.show()
