"""Splits a stream of server-sent events into the content of each event."""

from __future__ import annotations

_FIELD = b"data:"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_BYTES = 4 << 20
"""The largest event, and the largest line."""


class EventStream:
    """A parser that takes the stream in chunks with any borders (WHATWG HTML, 9.2: lines end in LF or CRLF).

    An event is the content of its `data` lines; comments and other fields are dropped.
    """

    __slots__ = ("_lines", "_rest", "_size", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that end in this chunk. Raises ValueError for a line or an event that is too large."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        taken = [self._take(line.removesuffix(b"\r")) for line in lines]
        if len(self._rest) + self._size > MOST_BYTES:
            raise ValueError(f"an event is larger than {MOST_BYTES >> 20} MiB")
        return [event for event in taken if event is not None]

    def finish(self) -> list[bytes]:
        """Return the event that the end of the stream ends, although no empty line follows it."""
        return [event for event in (self._take(self._rest.removesuffix(b"\r")), self._take(b"")) if event is not None]

    def _take(self, line: bytes) -> bytes | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            if not self._lines:
                return None
            event = b"\n".join(self._lines)
            self._lines.clear()
            self._size = 0
            return event
        if line.startswith(_FIELD):
            content = line[6:] if line[5:6] == b" " else line[5:]
            self._lines.append(content)
            self._size += len(content)
        return None
