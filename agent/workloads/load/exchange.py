"""One request and its response, while they are under way."""

from __future__ import annotations

from array import array

from agent.workloads.load_records import OK, RequestRecord

CONNECTION, TRUNCATED, MALFORMED, TOO_LARGE = "connection", "truncated", "malformed", "too large"
"""Outcomes of failed requests, beside `timeout`, `unsent` and `http STATUS`."""
MOST_BYTES = 64 << 20
"""The largest response."""


class Exchange:
    """One request and its response. Times are on CLOCK_MONOTONIC in nanoseconds, 0 before they are known.

    `body` is the body to send. A response with a status other than `expected_status` fails. `outputs_ns` has the
    arrival of each event with output. Subclasses read the response: they extend `_read` and `_complete`.
    """

    __slots__ = (
        "attempts",
        "body",
        "cached_tokens",
        "end_ns",
        "expected_status",
        "finish_reason",
        "input_tokens",
        "intended_ns",
        "outcome",
        "output_tokens",
        "outputs_ns",
        "received_bytes",
        "sent_ns",
        "status",
    )

    def __init__(self, body: bytes, expected_status: int = 200) -> None:
        self.body = body
        self.expected_status = expected_status
        self.intended_ns = self.sent_ns = self.end_ns = 0
        self.outputs_ns = array("q")
        self.status = self.received_bytes = 0
        self.outcome = ""
        self.attempts = 1
        self.input_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.output_tokens: int | None = None
        self.finish_reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the response, or the attempt to get it, has ended."""
        return bool(self.outcome)

    @property
    def ok(self) -> bool:
        """Whether the request ended as expected."""
        return self.outcome == OK

    def begin(self, status: int) -> None:
        """Take the status of the response."""
        self.status = status

    def receive(self, chunk: bytes, at_ns: int) -> None:
        """Take a part of the response's body; a part that is wrong ends the request."""
        self.received_bytes += len(chunk)
        if self.received_bytes > MOST_BYTES:
            self.end(TOO_LARGE, at_ns)
        elif self.status != self.expected_status:
            self._read_error(chunk)
        else:
            try:
                self._read(chunk, at_ns)
            except (ValueError, RecursionError):
                self.end(MALFORMED, at_ns)

    def complete(self, at_ns: int) -> None:
        """Take the end of a whole response."""
        if self.ended:
            return
        if self.status != self.expected_status:
            self.end(f"http {self.status}", at_ns)
            return
        try:
            self.end(self._complete(at_ns), at_ns)
        except (ValueError, RecursionError):
            self.end(MALFORMED, at_ns)

    def end(self, outcome: str, at_ns: int) -> None:
        """Note the outcome and its time; the first one counts."""
        if not self.ended:
            self.outcome, self.end_ns = outcome, at_ns

    def settle(self) -> None:
        """Do the work that can wait until after the window."""

    def record(self, start_ns: int) -> RequestRecord:
        """Return the record of the ended request, with its times after the start of the window."""
        first, last = (self.outputs_ns[0], self.outputs_ns[-1]) if self.outputs_ns else (None, None)
        return RequestRecord(
            intended_ns=self.intended_ns - start_ns,
            sent_ns=self.sent_ns - start_ns,
            first_ns=None if first is None else first - start_ns,
            last_ns=None if last is None else last - start_ns,
            end_ns=self.end_ns - start_ns,
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
            outcome=self.outcome,
            finish_reason=self.finish_reason,
            attempts=self.attempts,
        )

    def _read(self, chunk: bytes, at_ns: int) -> None:
        """Take a part of an expected response. Raises ValueError if it is malformed."""

    def _read_error(self, chunk: bytes) -> None:
        """Take a part of an error's body."""

    def _complete(self, _at_ns: int) -> str:
        """Return the outcome of a whole expected response. Raises ValueError if it is malformed."""
        return OK
