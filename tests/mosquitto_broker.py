"""A real mosquitto broker that a test starts, stops, freezes and restarts on one port."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ports import free_port
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

TLS = Path(__file__).parent / "fixtures/tls"
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
MOSQUITTO = shutil.which("mosquitto", path=PATH) or ""

needs_mosquitto = pytest.mark.skipif(not MOSQUITTO, reason="mosquitto is not installed")


class Broker:
    """One broker; it lets in everybody, or the user `meter` with the password `sesame` alone."""

    def __init__(self, folder: Path, *, tls: bool = False, login: bool = False) -> None:
        self.port = free_port()
        self.url = f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{self.port}"
        self._folder = folder
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if login else 'true'}"]
        if login:
            passwords = folder / "passwords"
            passwords.write_text("meter:sesame\n")
            passwords.chmod(0o600)
            program = shutil.which("mosquitto_passwd", path=PATH)
            assert program, "mosquitto_passwd belongs to mosquitto"
            subprocess.run([program, "-U", str(passwords)], check=True)
            lines.append(f"password_file {passwords}")
        if tls:
            lines += [f"certfile {TLS / 'cert.pem'}", f"keyfile {TLS / 'key.pem'}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([*lines, "user root", "persistence false", ""]))
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None

    def start(self) -> None:
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._running = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        await_true(self._accepts)

    def stop(self) -> None:
        if self._running:
            self._running.send_signal(signal.SIGCONT)
            self._running.kill()
            self._running.wait()
            self._running = None

    def freeze(self) -> None:
        assert self._running
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._running
        self._running.send_signal(signal.SIGCONT)

    def publish(self, topic: str, message: str | bytes, *, retain: bool = False, login: bool = False) -> None:
        """Publish with a client of its own, and return when the broker has the message."""
        import paho.mqtt.publish

        paho.mqtt.publish.single(
            topic,
            message,
            qos=1,
            retain=retain,
            hostname="127.0.0.1",
            port=self.port,
            auth={"username": "meter", "password": "sesame"} if login else None,
            tls={"ca_certs": str(TLS / "cert.pem")} if self.url.startswith("mqtts") else None,
        )

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextmanager
def broker(folder: Path, *, tls: bool = False, login: bool = False) -> Iterator[Broker]:
    """Run a broker."""
    running = Broker(folder, tls=tls, login=login)
    running.start()
    try:
        yield running
    finally:
        running.stop()
