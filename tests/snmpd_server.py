"""A real snmpd of Net-SNMP whose objects a test sets, over SNMP 2c and SNMPv3."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
SNMPD = shutil.which("snmpd", path=PATH) or ""
COMMUNITY, USER, PASSPHRASE = "rackmeter", "meter", "a long passphrase"
_SCRIPT = """#!/bin/sh
# Called as: pass -g OID. Each line of the file beside it is an OID, a type and a value. A write is recorded.
[ "$1" = -s ] && echo "$@" >> "$(dirname "$0")/writes"
[ "$1" = -g ] || exit 0
while read -r oid type value; do
  [ "$oid" = "$2" ] && printf '%s\\n%s\\n%s\\n' "$oid" "$type" "$value"
done < "$(dirname "$0")/objects"
"""

needs_snmpd = pytest.mark.skipif(not SNMPD, reason="snmpd is not installed")


class Agent:
    """One agent with the objects below the numbers of APC and Raritan."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port(socket.SOCK_DGRAM)
        self.url = f"snmp://127.0.0.1:{self.port}"
        script = folder / "pass"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        users = "\n".join(
            f'createUser {USER}{name} {hash_name} "{PASSPHRASE}" AES "{PASSPHRASE}"\nrouser {USER}{name} authpriv'
            for name, hash_name in (("", "SHA"), ("256", "SHA-256"), ("512", "SHA-512"))
        )
        (folder / "snmpd.conf").write_text(
            f"agentaddress udp:127.0.0.1:{self.port}\nrocommunity {COMMUNITY} 127.0.0.1\n{users}\n"
            f"sysdescr Rack PDU of the test\n"
            f"pass .1.3.6.1.4.1.318 {script}\npass .1.3.6.1.4.1.13742 {script}\n"
        )
        self.objects({})
        self._running: subprocess.Popen[bytes] | None = None

    def objects(self, values: Mapping[str, int | str]) -> None:
        """Set all objects; a number is a gauge, or an integer if it is negative."""
        lines = (
            f".{oid} {'string' if isinstance(value, str) else 'gauge' if value >= 0 else 'integer'} {value}\n"
            for oid, value in values.items()
        )
        new = self._folder / "objects.new"
        new.write_text("".join(lines))
        new.replace(self._folder / "objects")

    def start(self) -> None:
        environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(self._folder / "persistent"), "MIBS": ""}
        log = self._folder / "snmpd.log"
        self._running = subprocess.Popen(
            [
                SNMPD,
                "-f",
                "-C",
                "-c",
                str(self._folder / "snmpd.conf"),
                "-Lf",
                str(log),
                "-p",
                str(self._folder / "pid"),
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def writes(self) -> list[str]:
        """Return the requests to set an object."""
        path = self._folder / "writes"
        return path.read_text().splitlines() if path.exists() else []

    def stop(self) -> None:
        if self._running:
            self._running.send_signal(signal.SIGCONT)
            self._running.terminate()
            self._running.wait()
            self._running = None

    def freeze(self) -> None:
        assert self._running
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._running
        self._running.send_signal(signal.SIGCONT)


@contextmanager
def agent(folder: Path) -> Iterator[Agent]:
    """Run an agent; it answers within the retries of a client."""
    running = Agent(folder)
    running.start()
    try:
        yield running
    finally:
        running.stop()
