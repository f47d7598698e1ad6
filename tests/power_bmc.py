"""A BMC with a DCMI power reading, in a process of its own: `python power_bmc.py PORT STATE_FILE`.

The state file is JSON: `watts`, `stamp` (seconds since 1970), `active`, `supported`. It is read at each request.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

from pyghmi.ipmi.bmc import Bmc

USER, PASSWORD = "reader", "secret20"
_DCMI, _POWER_READING, _GROUP = 0x2C, 0x02, 0xDC
_INVALID_COMMAND = 0xC1


class PowerBmc(Bmc):
    """Answers Get Power Reading (DCMI 1.5, 6.6.1) with the state of a file."""

    def __init__(self, port: int, state: Path) -> None:
        super().__init__({USER: PASSWORD}, address="127.0.0.1", port=port)
        self._state = state

    def handle_raw_request(self, request: dict[str, Any], session: Any) -> None:
        if (request["netfn"], request["command"]) != (_DCMI, _POWER_READING):
            super().handle_raw_request(request, session)
            return
        state = json.loads(self._state.read_text(encoding="utf-8"))
        if not state["supported"]:
            session.send_ipmi_response(code=_INVALID_COMMAND)
            return
        watts = state["watts"]
        reading = struct.pack("<HHHHIIB", watts, 90, 504, 348, state["stamp"], 1000, 0x40 if state["active"] else 0)
        session.send_ipmi_response(data=[_GROUP, *reading])


if __name__ == "__main__":
    bmc = PowerBmc(int(sys.argv[1]), Path(sys.argv[2]))
    print("ready", flush=True)  # noqa: T201 -- the test waits for it
    bmc.listen()
