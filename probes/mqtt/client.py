"""The MQTT client: paho without proxies, and with a limit of the size of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client

if TYPE_CHECKING:
    import socket
    import ssl

MOST_BYTES = 1 << 20
"""The largest packet; a broker that sends a larger one loses the connection."""


class BoundedClient(Client):
    """A client of protocol 3.1.1; the overridden methods are those of paho 2."""

    def release(self) -> None:
        """Close every socket after the end of the loop."""
        self._reset_sockets()

    def _get_proxy(self) -> dict[str, Any] | None:
        return None  # the variable mqtt_proxy of the environment has no effect

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        if self._ssl_context is None:
            raise ValueError("the client has no TLS context")
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self._connect_timeout)
            wrapped.do_handshake()  # the context checks the name in the certificate
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MOST_BYTES:
            raise ConnectionError(f"a message of {bufsize} bytes is too long")
        return super()._sock_recv(bufsize)
