"""An HTTP server that answers like a documented smart plug, over http or https, with its login and its faults."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
import time
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TLS = Path(__file__).parent / "fixtures/tls"
FINGERPRINT = hashlib.sha256(ssl.PEM_cert_to_DER_cert((TLS / "cert.pem").read_text())).hexdigest()

SHELLY_1 = {"type": "SHPLG-S", "mac": "7C87CEB4A1B2", "auth": False, "fw": "20230913-113421/v1.14.0-gcb84623"}
SHELLY_2 = {
    "id": "shellyplusplugs-a8032abe54dc",
    "mac": "A8032ABE54DC",
    "model": "SNPL-00112EU",
    "gen": 2,
    "fw_id": "20240625-122629/1.3.3-gbdfd9b3",
    "ver": "1.3.3",
    "app": "PlusPlugS",
    "auth_en": False,
}


def first_status(watts: object = 38.4, watt_minutes: object = 60_000) -> dict[str, Any]:
    """Return /status of a Shelly Plug S."""
    meter = {
        "power": watts,
        "overpower": 0.0,
        "is_valid": True,
        "timestamp": 1_700_000_000,
        "counters": [38.1, 38.4, 38.2],
        "total": watt_minutes,
    }
    return {"relays": [{"ison": True}], "meters": [meter], "temperature": 31.2}


def later_status(watts: object = 38.4, watt_hours: object = 1000.125) -> dict[str, Any]:
    """Return Shelly.GetStatus of a Shelly Plus Plug S."""
    switch = {
        "id": 0,
        "source": "init",
        "output": True,
        "apower": watts,
        "voltage": 230.1,
        "current": 0.2,
        "aenergy": {"total": watt_hours, "by_minute": [640.0, 639.1, 641.7], "minute_ts": 1_700_000_000},
        "temperature": {"tC": 40.1, "tF": 104.2},
    }
    return {"ble": {}, "cloud": {"connected": False}, "switch:0": switch, "sys": {"mac": "A8032ABE54DC"}}


def tasmota_status(watts: object = 38, kilowatt_hours: object = 3.185) -> dict[str, Any]:
    """Return the answer to `Status 8`."""
    energy = {
        "TotalStartTime": "2024-01-01T00:00:00",
        "Total": kilowatt_hours,
        "Yesterday": 0.912,
        "Today": 0.4,
        "Power": watts,
        "ApparentPower": 44,
        "Factor": 0.86,
        "Voltage": 231,
        "Current": 0.19,
    }
    return {"StatusSNS": {"Time": "2024-03-01T10:00:00", "ENERGY": energy}}


@dataclass
class PlugState:
    """The answers by their path with the query; a test changes them.

    `delay` seconds pass before each answer, and none comes while it is `hanging`. A plug that is `gone` closes every
    connection. `drip` sends the body one byte each 0.2 s. A `body` replaces the JSON of
    every answer. `login` is "", "basic" or "digest", for everything but /shelly.
    """

    answers: dict[str, Any]
    delay: float = 0.0
    hanging: bool = False
    gone: bool = False
    drip: bool = False
    body: bytes | None = None
    status: int = 200
    location: str = ""
    login: str = ""
    password: str = "sesame"
    user: str = "admin"
    nonce: str = "65b0f0a1"
    requests: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    url: str = ""


def digest_of(state: PlugState, fields: dict[str, str], method: str) -> str:
    """Return the response that RFC 7616 expects for these fields, with SHA-256."""

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    user = sha(f"{state.user}:{fields['realm']}:{state.password}")
    request = sha(f"{method}:{fields['uri']}")
    return sha(f"{user}:{state.nonce}:{fields['nc']}:{fields['cnonce']}:auth:{request}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    plug: PlugState

    def handle_error(self, *_: object) -> None:
        pass


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def _plug(self) -> PlugState:
        return self.server.plug

    def setup(self) -> None:
        super().setup()
        self._plug.connections += 1

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self._plug.requests.append((self.path, given))
        time.sleep(self._plug.delay)
        while self._plug.hanging:
            time.sleep(0.02)
        if self._plug.gone:
            self.close_connection = True
            return
        if self._plug.login and self.path != "/shelly" and not self._is_let_in(given):
            challenge = f'Digest qop="auth", realm="plug", nonce="{self._plug.nonce}", algorithm=SHA-256'
            self._answer(401, b"", {"WWW-Authenticate": challenge if self._plug.login == "digest" else "Basic"})
        elif self._plug.body is not None or self._plug.status != 200:
            self._answer(
                self._plug.status,
                self._plug.body or b"",
                {"Location": self._plug.location} if self._plug.location else {},
            )
        elif self.path in self._plug.answers:
            self._answer(200, json.dumps(self._plug.answers[self.path]).encode(), {})
        else:
            self._answer(404, b"", {})

    def _is_let_in(self, given: str) -> bool:
        if self._plug.login == "basic":
            return given == "Basic " + b64encode(f"{self._plug.user}:{self._plug.password}".encode()).decode()
        fields = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        return (
            fields.get("nonce") == self._plug.nonce
            and fields["uri"] == self.path
            and fields["username"] == self._plug.user
            and fields["response"] == digest_of(self._plug, fields, "GET")
        )

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            for part in [body[at : at + 1] for at in range(len(body))] if self._plug.drip else [body]:
                self.wfile.write(part)
                time.sleep(0.2 * self._plug.drip)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def plug(
    answers: dict[str, Any], *, tls: bool = False, address: str = "127.0.0.1", port: int = 0, **options: Any
) -> Iterator[PlugState]:
    """Serve a plug on an address of this host, by default on a free port; its URL is `state.url`."""
    state = PlugState(answers, **options)

    server = _Server((address, port), _Answering)
    server.plug = state
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"{'https' if tls else 'http'}://{address}:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield state
    finally:
        state.hanging = False
        server.shutdown()
        server.server_close()
        serving.join()
