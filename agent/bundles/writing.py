"""Writes a bundle: a ZIP archive whose manifest has the checksum of every other file."""

from __future__ import annotations

import hashlib
import json
import zipfile
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any

from agent.bundles.manifest import (
    MANIFEST,
    MAX_BYTES,
    PROFILE,
    SAMPLES,
    SIGNATURE,
    TARIFF,
    VERSION,
    BundleError,
    FileFacts,
    Manifest,
    check_uid,
)
from agent.runtime import typed_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every entry, so that the same content is always the same file."""
_REGULAR = 0o100644 << 16


def bundle_bytes(
    document: Mapping[str, Any],
    samples: bytes | None,
    span_ns: tuple[int, int] | None,
    *,
    anonymized: bool = False,
    sign: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """Return the archive of a profile; `sign` makes the signature of a manifest.

    Raises BundleError if a file is too large, and the errors of `sign`.
    """
    check_uid(document["id"])
    files = {PROFILE: _json(document)}
    if samples is not None:
        files[SAMPLES] = samples
    if document["tariff"] is not None:
        files[TARIFF] = _json(document["tariff"])
    for name, content in files.items():
        if len(content) > MAX_BYTES[name]:
            size = f"{name} has {len(content) >> 20:,} MiB, and a bundle takes {MAX_BYTES[name] >> 20:,} MiB"
            raise BundleError(f"{size}: leave the samples out with --no-samples" if name == SAMPLES else size)
    manifest = Manifest(
        schema="inferometer.bundle",
        schema_version=VERSION,
        uid=document["id"],
        inferometer_version=version("inferometer"),
        anonymized=anonymized,
        started_ns=span_ns[0] if span_ns and samples is not None else None,
        ended_ns=span_ns[1] if span_ns and samples is not None else None,
        files={name: FileFacts(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()},
    )
    text = f"{typed_json.to_json(manifest, indent=1)}\n".encode()
    signature = {} if sign is None else {SIGNATURE: sign(text)}
    return _archive({MANIFEST: text, **signature, **files})


def _json(value: object) -> bytes:
    return f"{json.dumps(value, indent=1, allow_nan=False)}\n".encode()


def _archive(files: Mapping[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _FIRST_DATE)
            entry.external_attr = _REGULAR
            entry.compress_type = zipfile.ZIP_STORED if name == SAMPLES else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return stream.getvalue()
