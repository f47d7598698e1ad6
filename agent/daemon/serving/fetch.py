"""Fetches the metrics of an inference server, with limits on address, time, size and redirects."""

from __future__ import annotations

import asyncio
import http.client
import io
import os
import re
import socket
import ssl
import stat
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from agent.runtime.addresses import parse_address, refusal
from agent.runtime.path_walk import resolved

if TYPE_CHECKING:
    from agent.config.serving import ServingConfig

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 4 << 20
"""The most bytes of a body, before and after decompression."""
_HEADER_BYTES = 64 << 10
_CHUNK = 64 << 10
_END_OF_HEADERS = b"\r\n\r\n"
_GZIP = 16 + zlib.MAX_WBITS
_CREDENTIALS_BYTES = 4096
_TOKEN = re.compile(r"[\x21-\x7e]+")


class FetchError(Exception):
    """A failed fetch; `reason` is its label, the message has the cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a server's metrics, and the request for them."""

    host: str
    port: int
    request: bytes
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, server: ServingConfig) -> Target:
        """Return the target of a server. Raises FetchError if its files cannot be used."""
        parts = urlsplit(server.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = ["Accept: text/plain", "Accept-Encoding: gzip", "Connection: close", "User-Agent: inferometer"]
        if server.credentials_file:
            headers.append(f"Authorization: Bearer {read_credentials(Path(server.credentials_file))}")
        lines = (f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", *headers)
        request = "".join(f"{line}\r\n" for line in lines) + "\r\n"
        tls = _tls(server) if parts.scheme == "https" else None
        return cls(parts.hostname or "", server.port, request.encode("ascii", "replace"), tls)


def _tls(server: ServingConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file or None)
    except OSError as error:
        raise FetchError(
            "credentials", f"{server.ca_file}: it has no certificates that can be read ({error})"
        ) from error


def read_credentials(path: Path) -> str:
    """Return the token in a file that only its owner, this user or root, can read. Raises FetchError."""
    try:
        with resolved(path) as place:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
            opened = place.descriptor
            opened = os.open(place.name, flags, dir_fd=place.directory) if opened is None else os.dup(opened)
            with os.fdopen(opened, "rb") as stream:
                status = os.fstat(stream.fileno())
                content = stream.read(_CREDENTIALS_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise FetchError("credentials", f"{path}: it cannot be read ({error.strerror})") from error
    if status.st_mode & 0o077 or status.st_uid not in {0, os.getuid()}:
        raise FetchError("credentials", f"{path}: other users may read it; chown it to this user, and chmod 0600")
    token = content.decode("ascii", "replace").strip()
    if len(content) > _CREDENTIALS_BYTES or not _TOKEN.fullmatch(token):
        raise FetchError("credentials", f"{path}: it must contain one line, a token of printable characters")
    return token


async def fetch(target: Target, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Return the body of the response, decompressed. Raises FetchError, after `timeout_seconds` at the latest."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return _body(await _exchange(target, await _addresses(target.host, target.port)))
    except TimeoutError as error:
        raise FetchError("timeout", f"no complete response within {timeout_seconds:g} s") from error
    except ssl.SSLError as error:
        raise FetchError("tls", f"TLS failed ({error.reason or error})") from error
    except OSError as error:
        raise FetchError("connection", f"no connection ({error.strerror or error})") from error


async def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises FetchError if any of them is refused.

    A thread resolves the name, which ends with the process if the resolver never answers.
    """
    if literal := parse_address(host):
        found = [str(literal)]
    else:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str] | OSError] = loop.create_future()

        def settle(result: list[str] | OSError) -> None:
            if not answer.done():
                answer.set_result(result)

        def resolve() -> None:
            try:
                entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                result: list[str] | OSError = [str(entry[4][0]) for entry in entries]
            except (OSError, UnicodeError) as error:
                result = error if isinstance(error, OSError) else OSError(str(error))
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, result)

        threading.Thread(target=resolve, name="resolver", daemon=True).start()
        resolved_names = await answer
        if isinstance(resolved_names, OSError):
            raise FetchError("address", f"{host} has no address ({resolved_names.strerror or resolved_names})")
        found = resolved_names
    for each in found:
        address = parse_address(each)
        reason = refusal(address) if address else "it is not an address"
        if reason:
            raise FetchError("address", f"{each} is refused: {reason}")
    return found


async def _connection(target: Target, addresses: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that accepts. Raises the OSError of the last one."""
    name = target.host if target.tls else None
    for address in addresses[:-1]:
        with suppress(OSError):
            return await asyncio.open_connection(address, target.port, ssl=target.tls, server_hostname=name)
    return await asyncio.open_connection(addresses[-1], target.port, ssl=target.tls, server_hostname=name)


async def _exchange(target: Target, addresses: list[str]) -> bytes:
    """Send the request, and return the response up to its end, as far as the limits allow."""
    reader, writer = await _connection(target, addresses)
    try:
        writer.write(target.request)
        await writer.drain()
        received = bytearray()
        while not _is_complete(received) and (chunk := await reader.read(_CHUNK)):
            received += chunk
            if len(received) > _HEADER_BYTES + MOST_BYTES:
                raise FetchError("size", f"the response is larger than {MOST_BYTES >> 20} MiB")
        return bytes(received)
    finally:
        writer.transport.abort()  # a server that never closes must not delay the next request


def _is_complete(received: bytearray) -> bool:
    """Return whether a response has as many bytes as it states; without a statement it ends with the connection."""
    end = received.find(_END_OF_HEADERS, 0, _HEADER_BYTES)
    if end < 0:
        if len(received) >= _HEADER_BYTES:
            raise FetchError("content", "the headers of the response do not end")
        return False
    length = re.search(rb"(?im)^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", received[:end])
    return bool(length) and len(received) - end - len(_END_OF_HEADERS) >= int(length[1]) if length else False


class _Received(io.BytesIO):
    """A received response in the form of a socket, as http.client reads it."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return self


def _body(received: bytes) -> bytes:
    """Return the body of a response. Raises FetchError if it is not a success, or too large."""
    response = http.client.HTTPResponse(cast("socket.socket", _Received(received)))  # it only calls makefile
    try:
        response.begin()
        content = response.read(MOST_BYTES + 1)
    except (http.client.HTTPException, ValueError) as error:
        raise FetchError("content", f"the response is not HTTP ({type(error).__name__})") from error
    if response.status in range(300, 400):
        raise FetchError("redirect", f"it redirects (status {response.status}), which is not followed")
    if response.status != http.client.OK:
        raise FetchError("status", f"it answers with status {response.status}")
    if response.length:
        raise FetchError("content", f"the response ends {response.length} bytes early")
    encoding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding == "gzip":
        content = _decompressed(content)
    elif encoding != "identity":
        raise FetchError("content", "the response has an encoding that was not requested")
    if len(content) > MOST_BYTES:
        raise FetchError("size", f"the metrics are larger than {MOST_BYTES >> 20} MiB")
    return content


def _decompressed(content: bytes) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    try:
        found = stream.decompress(content, MOST_BYTES + 1)
    except zlib.error as error:
        raise FetchError("content", f"the response cannot be decompressed ({error})") from error
    if not stream.eof and len(found) <= MOST_BYTES:
        raise FetchError("content", "the compressed response ends early")
    return found
