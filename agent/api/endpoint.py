"""The service's HTTP address: one server for the life of the process, whatever is behind it at the moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.api import sockets as listening
from agent.api.application import Application, service_pages, starting_pages
from agent.api.server import DEFAULTS, Limits, Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from agent.api.metrics import Exporter


@dataclass(frozen=True, slots=True)
class _Bound:
    """A listening socket, the setting it was bound for, and its address with the port."""

    listen: str
    listener: socket.socket
    address: str


class Endpoint:
    """Listens where `bind` says, from the first call on until `close`, and answers with the last exporter shown.

    A new address is bound beside the old one, which closes only once `show` replaces what is behind both.
    """

    def __init__(self, limits: Limits = DEFAULTS) -> None:
        self._server = Server(Application(starting_pages(), ()), limits)
        self._now: _Bound | None = None
        self._next: _Bound | None = None

    @property
    def address(self) -> str:
        """Return the newest host:port that is bound, as in a URL."""
        newest = self._next or self._now
        return newest.address if newest else ""

    def bind(self, listen: str) -> None:
        """Listen on `listen` as well, unless that is what is listened on. Raises ListenError."""
        if self._next and self._next.listen == listen:
            return
        self.unbind()
        now = self._now
        if now and (listen == now.listen or listening.listens_on(now.listener, listen)):
            return
        listener = listening.bind(listen, beside=now.listener if now else None)
        self._next = _Bound(listen, listener, listening.display(listener))
        self._server.listen(listener)

    def unbind(self) -> None:
        """Close an address that was bound but never shown anything on."""
        if self._next:
            self._server.unlisten(self._next.listener)
            self._next = None

    def show(self, exporter: Exporter, hosts: Collection[str] = ()) -> None:
        """Answer with `exporter` from now on, on the newest address alone; `hosts` are names that requests may use."""
        newest = self._next or self._now
        checked = hosts or (newest and listening.is_loopback(newest.listener))
        own = newest.listen.rpartition(":")[0] if newest else ""  # a name with which the address was given
        self._server.application = Application(service_pages(exporter), {*hosts, own} if checked else None)
        before, self._now, self._next = self._now, newest, None
        if before and before is not newest:
            self._server.unlisten(before.listener)

    def wait(self, reason: str) -> None:
        """Answer that the service is not ready, and why, until `show`."""
        self._server.application = Application(starting_pages(reason), ())

    def close(self) -> None:
        """Close every address and connection."""
        self._server.stop()


def serve(exporter: Exporter, listen: str, limits: Limits = DEFAULTS, hosts: Collection[str] = ()) -> Endpoint:
    """Return an endpoint that shows `exporter` on `listen`. Raises ListenError."""
    endpoint = Endpoint(limits)
    try:
        endpoint.bind(listen)
    except listening.ListenError:
        endpoint.close()
        raise
    endpoint.show(exporter, hosts)
    return endpoint
