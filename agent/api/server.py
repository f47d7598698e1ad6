"""The HTTP server: one thread handles every connection, two more run the WSGI application.

A connection uses a socket and a small buffer, but no thread, so slow clients cannot block the others.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from queue import SimpleQueue
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import TYPE_CHECKING, Any

from agent.api import wsgi
from agent.api.connection import Connection, Limits, NotReadyError, State
from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    from agent.api.connection import Client, Security

_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_BYTES = 65_536
_DRAIN_SECONDS = 1.0
_RETRY_SECONDS = 0.1
_HTTP_PORT = 80
"""The port that a URL without one means; a unix socket has none."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

DEFAULTS = Limits()

log = get_logger("http")


class Server:
    """Serves `application`, which may be replaced at any time, on the sockets handed to `listen`, until `stop`."""

    def __init__(self, application: WSGIApplication, limits: Limits, workers: int = 2) -> None:
        self.application = application
        self._limits = limits
        self._selector = DefaultSelector()
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._listeners: dict[socket.socket, Security | None] = {}
        self._requests: SimpleQueue[Connection | None] = SimpleQueue()
        self._calls: deque[Callable[[], object]] = deque()
        self._awake, self._waker = socket.socketpair()
        for end in (self._awake, self._waker):
            end.setblocking(False)
        self._selector.register(self._awake, EVENT_READ, self._run_calls)
        self._stopped = self._accept_failing = False
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in [(self._run, "http"), *[(self._answer, f"http-{n}") for n in range(1, workers + 1)]]
        ]
        for thread in self._threads:
            thread.start()

    def listen(self, listener: socket.socket, security: Security | None = None) -> None:
        """Accept connections on a listening socket as well, with its security; the server owns it from now on."""
        self._call(partial(self._add_listener, listener, security))

    def secure(self, listener: socket.socket, security: Security | None) -> None:
        """Give a listening socket another security, for new connections."""
        self._call(partial(self._set_security, listener, security))

    def unlisten(self, listener: socket.socket) -> None:
        """Close a listening socket; its accepted connections are still served."""
        self._call(partial(self._remove_listener, listener))

    def stop(self, seconds: float = 5.0) -> None:
        """Close every socket, and return when the threads have ended or `seconds` have passed; safe to call twice."""
        self._call(partial(setattr, self, "_stopped", True))
        for _ in self._threads[1:]:
            self._requests.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _call(self, call: Callable[[], object]) -> None:
        """Run `call` in the thread of the connections."""
        self._calls.append(call)
        with suppress(OSError):  # it is awake already, or has ended
            self._waker.send(b"\0")

    def _run(self) -> None:
        while not self._stopped:
            try:
                for key, _ in self._selector.select(self._select_timeout()):
                    key.data()
                self._expire()
            except Exception:  # the top of a thread: without it no request would be answered
                log.exception("server fault")
                time.sleep(_RETRY_SECONDS)
        for listener in [*self._listeners]:
            self._remove_listener(listener)
        for connection in [*self._connections]:
            self._close(connection)
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def _select_timeout(self) -> float | None:
        """Return the seconds to the next deadline, None without a connection, as an idle server never wakes."""
        if not self._connections:
            return None
        return max(0.0, min(connection.deadline for connection in self._connections) - time.monotonic())

    def _expire(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._connections if each.deadline <= now]:
            self._close(connection)

    def _run_calls(self) -> None:
        with suppress(BlockingIOError):
            self._awake.recv(_CHUNK_BYTES)
        while self._calls:
            self._calls.popleft()()

    def _add_listener(self, listener: socket.socket, security: Security | None) -> None:
        self._listeners[listener] = security
        self._selector.register(listener, EVENT_READ, partial(self._accept, listener))

    def _set_security(self, listener: socket.socket, security: Security | None) -> None:
        if listener in self._listeners:
            self._listeners[listener] = security

    def _remove_listener(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            while not self._stopped and self._accept(listener):
                pass  # clients in the queue of the kernel
            del self._listeners[listener]
            self._selector.unregister(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> bool:
        """Accept a connection if one is waiting; return whether one was."""
        if listener not in self._listeners:
            return False  # an earlier event has closed it
        try:
            client, address = listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:  # no free file descriptor, for example; a busy loop would not help
            if not self._accept_failing:
                log.warning("connections are not accepted", reason=str(error))
            self._accept_failing = True
            if not self._evict():
                time.sleep(_RETRY_SECONDS)
            return False
        self._accept_failing = False
        client.setblocking(False)
        if len(self._connections) >= self._limits.connections and not self._evict():
            if not self._listeners[listener]:
                with suppress(OSError):
                    client.send(_FULL)
            client.close()
            return True
        peer, server = _names(listener, address)
        security = self._listeners[listener]
        try:
            secured: Client = security.wrapped(client) if security else client
        except OSError as error:  # the client has gone
            log.debug("connection ended", client=peer, reason=str(error))
            client.close()
            return True
        now = time.monotonic()
        connection = Connection(secured, peer, server, now, now + self._limits.request_seconds, security)
        self._connections[connection] = None
        self._selector.register(secured, EVENT_READ, partial(self._guard, self._receive, connection))
        return True

    def _evict(self) -> bool:
        """Close the oldest connection that no thread answers; return whether there was one."""
        oldest = next((each for each in self._connections if each.state is not State.ANSWERING), None)
        if oldest:
            log.debug("evicted", client=oldest.peer)
            self._close(oldest)
        return oldest is not None

    def _guard(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """Run one step of a connection; close it if the client has gone or the step fails."""
        if connection not in self._connections:
            return  # an earlier event has closed it
        try:
            step(connection)
        except NotReadyError as wanted:
            self._selector.modify(connection.client, wanted.event, partial(self._guard, step, connection))
        except BlockingIOError:
            pass
        except OSError as error:
            log.debug("connection ended", client=connection.peer, reason=str(error))
            self._close(connection)
        except Exception:  # the boundary of a connection: a fault in one must not end others
            log.exception("connection fault", client=connection.peer)
            self._close(connection)

    def _receive(self, connection: Connection) -> None:
        chunk = connection.client.recv(_CHUNK_BYTES)
        if not chunk:
            self._close(connection)
        elif connection.state is State.RECEIVING:
            seen = max(0, len(connection.received) - 2)
            connection.received += chunk
            if end := _HEAD_END.search(connection.received, seen):
                del connection.received[end.end() :]  # no body is read
            if end or self._is_too_long(connection):
                connection.state = State.ANSWERING
                connection.deadline = connection.opened + self._limits.connection_seconds
                self._selector.unregister(connection.client)
                self._requests.put(connection)

    def _is_too_long(self, connection: Connection) -> bool:
        return len(connection.received) > self._limits.request_bytes

    def _answer(self) -> None:
        """Answer complete requests, in a worker thread, until the queue has None."""
        while (connection := self._requests.get()) is not None:
            too_long = self._is_too_long(connection)
            application = wsgi.failure(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) if too_long else self.application
            if connection.security:
                application = connection.security.guarded(application)
            try:
                response = wsgi.respond(bytes(connection.received), connection.peer, connection.server, application)
            except Exception:  # the top of a thread
                log.exception("no answer", client=connection.peer)
                response = b""
            self._call(partial(self._guard, partial(self._start_sending, response), connection))

    def _start_sending(self, response: bytes, connection: Connection) -> None:
        connection.received.clear()
        connection.unsent = memoryview(response)
        connection.state = State.SENDING
        self._selector.register(connection.client, EVENT_WRITE, partial(self._guard, self._send, connection))
        self._guard(self._send, connection)

    def _send(self, connection: Connection) -> None:
        connection.unsent = connection.unsent[connection.client.send(connection.unsent) :]
        if not connection.unsent:
            # Closing with unread bytes would reset the connection, and the client would lose the response.
            connection.client.shutdown(socket.SHUT_WR)
            connection.state = State.DRAINING
            connection.deadline = min(connection.deadline, time.monotonic() + _DRAIN_SECONDS)
            reading: Any = partial(self._guard, self._receive, connection)
            self._selector.modify(connection.client, EVENT_READ, reading)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection]
        with suppress(KeyError, ValueError):  # it is not registered while a thread answers, or its descriptor has gone
            self._selector.unregister(connection.client)
        connection.client.close()
        connection.unsent.release()


def _names(listener: socket.socket, address: Any) -> tuple[str, tuple[str, int]]:
    """Return the name of a client, and the host and port that it connected to."""
    if listener.family == socket.AF_UNIX:
        return "unix", ("localhost", _HTTP_PORT)
    return address[0], listener.getsockname()[:2]
