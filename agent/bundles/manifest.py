"""The manifest of a bundle: its files with their checksums, and the limits of what is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "1.0"
"""The version of the format: a reader refuses another major number."""
MANIFEST, PROFILE, SAMPLES, TARIFF, SIGNATURE = (
    *("manifest.json", "profile.json", "samples.parquet", "tariff.json"),
    "manifest.json.sig",
)
MAX_BYTES: Mapping[str, int] = {
    MANIFEST: 64 << 10,
    PROFILE: 64 << 20,
    SAMPLES: 256 << 20,
    TARIFF: 1 << 20,
    SIGNATURE: 64 << 10,
}
"""The files that a bundle can have, and the largest size of each."""
MAX_BUNDLE_BYTES = 320 << 20
_UID = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,62}[A-Za-z0-9])?", re.ASCII)


UnixNanoseconds = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800 * 10**9)]
"""A time from the year 1970 to the year 2100."""


class BundleError(ValueError):
    """A file is not a valid bundle, or a bundle cannot be written; the message has the cause and the remedy."""


class DamagedBundleError(BundleError):
    """The archive of a bundle is incomplete, or its content is not that which was written."""


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size and the SHA-256 of one file of a bundle."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of a bundle; `uid` is the id of its profile, times are those of the run (None without samples)."""

    schema: Literal["inferometer.bundle"]
    schema_version: str
    uid: str
    inferometer_version: str
    anonymized: bool
    started_ns: UnixNanoseconds | None
    ended_ns: UnixNanoseconds | None
    files: dict[str, FileFacts]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory: `manifest_text` is what a signature signs, `samples` are Parquet, None without samples."""

    manifest: Manifest
    manifest_text: bytes
    document: dict[str, Any]
    samples: bytes | None = None
    signature: bytes | None = None


def check_uid(uid: str) -> None:
    """Raise BundleError if a uid cannot be the id of a stored profile."""
    if not _UID.fullmatch(uid) or uid == "latest" or uid.endswith(".json"):
        raise BundleError(
            f"its uid {uid[:80]!r} is not the id of a profile: letters and digits, with . _ - between them, "
            "but not latest, and no name that ends in .json"
        )
