"""The HTTP endpoint of the service: one server for the life of the process, on TCP and on a unix socket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.api import sockets
from agent.api.application import Application
from agent.api.routes import service_routes, starting_routes
from agent.api.server import DEFAULTS, Server
from agent.api.unix_socket import SocketFile, UnixAddress, bind_unix
from agent.api.web_config import WebConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from agent.api.connection import Limits, Security
    from agent.api.metrics import Exporter
    from agent.api.web_security import WebSecurity


@dataclass(frozen=True, slots=True)
class _Bound:
    """A listening socket, the setting that it was bound for, its address as in a URL, and the file of a unix socket."""

    setting: str | UnixAddress
    listener: socket.socket
    address: str
    file: SocketFile | None = None


class _Slot:
    """The socket that is in use, and the one that replaces it once the new configuration has started."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.now: _Bound | None = None
        self.next: _Bound | None = None

    @property
    def newest(self) -> _Bound | None:
        return self.next or self.now

    def propose(self, bound: _Bound, security: Security | None = None) -> None:
        """Listen on a socket beside the one in use."""
        self.next = bound
        self._server.listen(bound.listener, security)

    def withdraw(self) -> None:
        """Close the proposed socket."""
        self._close(self.next)
        self.next = None

    def commit(self) -> None:
        """Use the proposed socket, if there is one, and close the one before."""
        if self.next:
            self._close(self.now)
            self.now, self.next = self.next, None

    def clear(self) -> None:
        """Close both."""
        self.withdraw()
        self._close(self.now)
        self.now = None

    def _close(self, bound: _Bound | None) -> None:
        if bound:
            if bound.file:
                bound.file.remove()
            self._server.unlisten(bound.listener)


class Endpoint:
    """Listens on the addresses of the last `bind` until `close`, and answers with the exporter of the last `show`.

    A new address is bound beside the old one, which is closed by the next `show`.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self._server = Server(Application(starting_routes(), ()), limits)
        self._tcp = _Slot(self._server)
        self._unix = _Slot(self._server)
        self._wants_unix = False
        self._web: WebSecurity | None = None

    @property
    def address(self) -> str:
        """The newest host:port that is bound, as in a URL."""
        newest = self._tcp.newest
        return newest.address if newest else ""

    @property
    def unix_path(self) -> str | None:
        """The path of the newest unix socket, None without one."""
        newest = self._unix.newest
        return newest.address if newest else None

    def bind(self, listen: str, unix: UnixAddress | None = None, web_config: str = "") -> None:
        """Listen on `listen`, and on `unix` if it is given, unless they are bound already.

        `web_config` is the file with TLS and users of `listen`; the unix socket has its mode instead. A file that is in
        use reads itself again, so only another one can be refused. Raises ListenError and WebConfigError.
        """
        self._bind_tcp(listen, self._security_of(web_config))
        self._bind_unix(unix)

    def _security_of(self, web_config: str) -> Security | None:
        if not web_config:
            return None
        if self._web is None or self._web.path != web_config:
            from agent.api.web_security import WebSecurity  # noqa: PLC0415  ssl takes memory, and most hosts need none

            self._web = WebSecurity(web_config)
        return self._web

    def _bind_tcp(self, listen: str, security: Security | None) -> None:
        slot = self._tcp
        if slot.next and slot.next.setting == listen:
            self._server.secure(slot.next.listener, security)
            return
        slot.withdraw()
        now = slot.now
        if now and (listen == now.setting or sockets.listens_on(now.listener, listen)):
            self._server.secure(now.listener, security)
            return
        listener = sockets.bind(listen, beside=now.listener if now else None)
        slot.propose(_Bound(listen, listener, sockets.display(listener)), security)

    def _bind_unix(self, unix: UnixAddress | None) -> None:
        slot, self._wants_unix = self._unix, unix is not None
        if unix is None or (slot.next and slot.next.setting == unix):
            return
        slot.withdraw()
        if slot.now and slot.now.file and slot.now.file.is_at(unix.path):
            slot.now.file.restrict(unix)
            slot.now = replace(slot.now, setting=unix)
            return
        listener, file = bind_unix(unix)
        slot.propose(_Bound(unix, listener, unix.path, file))

    def show(self, exporter: Exporter, hosts: Collection[str] = ()) -> None:
        """Answer with `exporter` from now on, on the newest addresses only; requests may use the names in `hosts`."""
        newest = self._tcp.newest
        checked = hosts or (newest and sockets.is_loopback(newest.listener))
        own = str(newest.setting).rpartition(":")[0] if newest else ""  # the name in the address, if it has one
        self._server.application = Application(service_routes(exporter), {*hosts, own} if checked else None)
        self._tcp.commit()
        self._unix.commit()
        if not self._wants_unix:
            self._unix.clear()

    def wait(self, reason: str) -> None:
        """Answer that the service is not ready, with the reason, until `show`."""
        self._server.application = Application(starting_routes(reason), ())

    def close(self) -> None:
        """Close every address and connection, and delete the file of the unix socket."""
        self._unix.clear()
        self._server.stop()


def serve(
    exporter: Exporter,
    listen: str,
    limits: Limits = DEFAULTS,
    hosts: Collection[str] = (),
    unix: UnixAddress | None = None,
    web_config: str = "",
) -> Endpoint:
    """Return an endpoint that shows `exporter` on `listen` and on a unix socket if one is given.

    Raises ListenError and WebConfigError.
    """
    endpoint = Endpoint(limits)
    try:
        endpoint.bind(listen, unix, web_config)
    except (sockets.ListenError, WebConfigError):
        endpoint.close()
        raise
    endpoint.show(exporter, hosts)
    return endpoint
