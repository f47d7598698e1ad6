"""A BMC of our own: serves Redfish resources over TLS, with sessions, and with faults on demand."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from probes.settings import MeterConfig

FIXTURES = Path(__file__).parent / "fixtures"
CERTIFICATE, KEY = FIXTURES / "tls/cert.pem", FIXTURES / "tls/key.pem"
FINGERPRINT = hashlib.sha256(ssl.PEM_cert_to_DER_cert(CERTIFICATE.read_text(encoding="utf-8"))).hexdigest()
ROOT = "/redfish/v1"
SESSIONS = f"{ROOT}/SessionService/Sessions"
USER, PASSWORD = "reader", "correct horse"


def link(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def mockup(name: str) -> dict[str, Any]:
    """Return the resources of a folder of index.json files by their paths."""
    folder = FIXTURES / "redfish" / name
    found = {}
    for file in folder.rglob("index.json"):
        place = file.parent.relative_to(folder).as_posix()
        found[ROOT if place == "." else f"{ROOT}/{place}"] = json.loads(file.read_text(encoding="utf-8"))
    return {ROOT: {}, **found}


def captured(vendor: str, path: str) -> dict[str, Any]:
    """Return the resources of a service with one chassis at `path`, from the replies of a vendor."""
    chassis, power = (
        json.loads((FIXTURES / "redfish" / vendor / name).read_text(encoding="utf-8"))
        for name in {"dell": ("dell_chassis.json", "dell_power.json"), "hpe": ("hp_chassis.json", "hp_power.json")}[
            vendor
        ]
    )
    return {
        ROOT: {},
        f"{ROOT}/Chassis": {"Members": [link(path)]},
        path: chassis,
        f"{path}/Power": power,
    }


def chassis(name: str, **values: object) -> dict[str, Any]:
    """Return a Chassis resource with EnvironmentMetrics."""
    path = f"{ROOT}/Chassis/{name}"
    return {"@odata.id": path, "Id": name, "EnvironmentMetrics": link(f"{path}/EnvironmentMetrics"), **values}


def service(*every: dict[str, Any], watts: dict[str, Any]) -> dict[str, Any]:
    """Return a service of several chassis; `watts` has the power of each by its Id."""
    found: dict[str, Any] = {ROOT: {}, f"{ROOT}/Chassis": {"Members": [link(each["@odata.id"]) for each in every]}}
    for each in every:
        found[each["@odata.id"]] = each
        if each["Id"] in watts:
            found[f"{each['@odata.id']}/EnvironmentMetrics"] = {"PowerWatts": {"Reading": watts[each["Id"]]}}
    return found


class Bmc(ThreadingHTTPServer):
    """A BMC on loopback; its attributes can be changed while it runs.

    `room` is the number of sessions that it allows. If it `wants_slashes`, it redirects paths without one at their end.
    `statuses` replaces the status of a path, `delays` delays its answer, `truncated` paths end in the middle, `raw` has
    bodies that are no JSON. `requests` are those it received.
    """

    daemon_threads = True

    def __init__(self, resources: dict[str, Any], *, room: int = 8) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.resources, self.room = resources, room
        self.sessions: dict[str, str] = {}
        self.opened = 0
        self.wants_slashes = False
        self.statuses: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        self.truncated: set[str] = set()
        self.raw: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: clients leave, and refuse the certificate."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def meter(self, folder: Path, name: str = "bmc", **keys: str) -> MeterConfig:
        """Return the configuration of this BMC, whose password file is in `folder`."""
        secret = folder / f"{name}.password"
        secret.write_text(f"{PASSWORD}\n", encoding="utf-8")
        secret.chmod(0o600)
        given = {"url": self.url, "fingerprint": FINGERPRINT, "user": USER, "password_file": str(secret), **keys}
        return MeterConfig(name=name, kind="redfish", **given)


class _Handler(BaseHTTPRequestHandler):
    server: Bmc
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if not self._begin(path):
            return
        if path.rstrip("/") != ROOT and self.headers.get("X-Auth-Token") not in self.server.sessions:
            self._answer(401, _error("There is no valid session."))
            return
        found = self.server.resources.get(path.rstrip("/"))
        if found is None:
            self._answer(404, _error("The resource is missing."))
            return
        if query.startswith("$expand") and "Members" in found:
            members = [self.server.resources.get(each["@odata.id"], each) for each in found["Members"]]
            found = {**found, "Members": members}
        self._answer(200, self.server.raw.get(path) or json.dumps(found).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._begin(self.path):
            return
        if self.path.rstrip("/") != SESSIONS:
            self._answer(405, b"")
        elif json.loads(body) != {"UserName": USER, "Password": PASSWORD}:
            self._answer(401, _error("The user name or the password is wrong."))
        elif len(self.server.sessions) >= self.server.room:
            self._answer(503, _error("The number of sessions has reached its limit."), {"Retry-After": "30"})
        else:
            self.server.opened += 1
            token, place = f"token-{self.server.opened}", f"{SESSIONS}/{self.server.opened}/"
            self.server.sessions[token] = place
            self._answer(201, json.dumps(link(place)).encode(), {"X-Auth-Token": token, "Location": place})

    def do_DELETE(self) -> None:
        if not self._begin(self.path):
            return
        token = self.headers.get("X-Auth-Token", "")
        if self.server.sessions.get(token) == self.path:
            del self.server.sessions[token]
            self._answer(204, b"")
        else:
            self._answer(401, b"")

    def _begin(self, path: str) -> bool:
        """Record a request, and apply the faults of its path; return whether it is still to be answered."""
        self.server.requests.append((self.command, self.path))
        if self.server.stopping.wait(self.server.delays.get(path, 0.0)):
            self.close_connection = True
            return False
        if path in self.server.truncated:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"PowerWatts": {"Rea')
            self.close_connection = True
            return False
        if self.server.wants_slashes and not path.endswith("/"):
            self._answer(308, b"", {"Location": f"{path}/"})
            return False
        if status := self.server.statuses.get(path):
            self._answer(status, _error("The service is busy."))
            return False
        return True

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def _error(message: str) -> bytes:
    return json.dumps({"error": {"@Message.ExtendedInfo": [{"Message": message}]}}).encode()


def await_no_sessions(bmc: Bmc, seconds: float = 60.0) -> bool:
    """Return whether the last session is deleted within some seconds."""
    ends = time.monotonic() + seconds
    while bmc.sessions and time.monotonic() < ends:
        time.sleep(0.02)
    return not bmc.sessions
