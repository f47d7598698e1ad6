"""An instrument at a raw socket that answers SCPI queries."""

from __future__ import annotations

import socketserver
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

IDENTITY = b"ACME,PA-100,0,1.02\n"


@dataclass
class InstrumentState:
    """The answers by their query, and all that was received. While it is `hanging`, or if it is `gone`, none comes."""

    answers: dict[str, bytes]
    received: list[str] = field(default_factory=list)
    hanging: bool = False
    gone: bool = False
    url: str = ""


@contextmanager
def instrument(answers: dict[str, bytes]) -> Iterator[InstrumentState]:
    """Serve an instrument on a free port of this host."""
    state = InstrumentState({"*IDN?": IDENTITY, **answers})

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                state.received.append(line.decode().strip())
                while state.hanging:
                    time.sleep(0.02)
                if state.gone:
                    return
                self.wfile.write(state.answers.get(state.received[-1], b""))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads, block_on_close = True, True, False

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Session) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        state.url = f"scpi://127.0.0.1:{server.server_address[1]}"
        try:
            yield state
        finally:
            state.hanging = False
            server.shutdown()
            serving.join()
