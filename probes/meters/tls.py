"""The TLS of a meter: its certificate is signed by a trusted authority, or it is the configured one."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Self

from probes.errors import ProbeUnavailableError

if TYPE_CHECKING:
    from probes.settings import MeterConfig


def context_of(meter: MeterConfig) -> ssl.SSLContext:
    """Return the context that verifies the server of a meter. Raises ProbeUnavailableError if `ca_file` is unusable."""
    if meter.fingerprint:
        return _Pinned(meter.fingerprint)
    try:
        return ssl.create_default_context(cafile=meter.ca_file or None)
    except OSError as error:
        raise ProbeUnavailableError(
            f"{meter.ca_file} has no certificates that can be read ({error})", "name a file in PEM format"
        ) from error


class _Pinned(ssl.SSLContext):
    """Accepts the one certificate with the SHA-256 `fingerprint`, in lower case with any signature."""

    fingerprint: str

    def __new__(cls, fingerprint: str) -> Self:
        own = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        own.fingerprint = fingerprint
        return own

    def __init__(self, _: str) -> None:
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE  # the socket compares the certificate itself
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.sslsocket_class = _PinnedSocket


class _PinnedSocket(ssl.SSLSocket):
    """Compares the certificate at the end of the handshake, before anything is sent."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        wanted = getattr(self.context, "fingerprint", "")
        shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").hexdigest()
        if shown != wanted:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"its certificate has the SHA-256 {shown}, not the configured one")
