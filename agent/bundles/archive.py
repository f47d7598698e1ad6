"""Reads the archive of a bundle, which may be hostile: every limit is checked before anything is decompressed."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
import zipfile
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from agent.bundles.manifest import (
    MANIFEST,
    MAX_BYTES,
    PROFILE,
    SAMPLES,
    SIGNATURE,
    VERSION,
    Bundle,
    BundleError,
    DamagedBundleError,
    Manifest,
    check_uid,
)
from agent.profiling.document.codec import check
from agent.profiling.document.versions import parse
from agent.runtime import typed_json
from agent.runtime.text_input import parser_fault, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_END = struct.Struct("<4s4H2LH")
"""The end of an archive: signature, two numbers of disks, entries twice, size and place of the directory, comment."""
_END_SIGNATURE = b"PK\5\6"
_MAX_ENTRIES = len(MAX_BYTES)
_MAX_DIRECTORY_BYTES = 4096
_MAX_RATIO = 200
"""The largest ratio of decompressed to compressed size; a profile has about 15."""
_MAX_DEPTH = 32
"""The deepest nesting of JSON; a profile has 9."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
"""The errors with which the standard library refuses an archive."""


def read_bundle(content: bytes) -> Bundle:
    """Return the bundle of an archive. Raises BundleError if it is damaged, not a bundle, or beyond a limit."""
    files = _read_files(content)
    text = files.pop(MANIFEST, None)
    if text is None:
        raise DamagedBundleError(f"it has no {MANIFEST}: name a file that `inferometer profiles export --bundle` wrote")
    check_depth(text, MANIFEST)
    signature = files.pop(SIGNATURE, None)
    manifest = _manifest(text)
    _check_sums(manifest, files)
    check_depth(files[PROFILE], PROFILE)
    try:
        document = parse(files[PROFILE].decode())
        check(document)
    except ValueError as error:
        raise BundleError(f"{PROFILE}: {parser_fault(error)}") from error
    check_texts(document)
    if document["id"] != manifest.uid:
        raise BundleError(f"{PROFILE}: its id {quoted(document['id'])} is not the uid {manifest.uid} of the bundle")
    return Bundle(manifest, text, document, files.get(SAMPLES), signature)


def check_texts(document: object) -> None:
    """Raise BundleError for a text with a null character or half a surrogate pair, which PostgreSQL refuses."""
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BundleError(f"{PROFILE}: a text in it is not valid Unicode") from error
    if "\\u0000" in text:
        raise BundleError(f"{PROFILE}: a text in it has a null character")


def _read_files(content: bytes) -> dict[str, bytes]:
    _check_end(content)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(entry)
            _check_names(entries)
            return {entry.filename: _read(archive, entry) for entry in entries}
    except BundleError:
        raise
    except _FAULTS as error:
        raise DamagedBundleError(f"the archive is damaged ({error}): copy the file again") from error


def _check_end(content: bytes) -> None:
    """Raise BundleError if the directory of an archive is too large, before any of it is read."""
    if len(content) < _END.size or not content[-_END.size :].startswith(_END_SIGNATURE):
        raise DamagedBundleError("it is not a bundle: name a file that `inferometer profiles export --bundle` wrote")
    _, _, _, here, entries, size, _, comment = _END.unpack(content[-_END.size :])
    if max(here, entries) > _MAX_ENTRIES or size > _MAX_DIRECTORY_BYTES or comment:
        raise BundleError(f"it has more entries than the {_MAX_ENTRIES} files that a bundle can have")


def _check_names(entries: Sequence[zipfile.ZipInfo]) -> None:
    if len({entry.filename for entry in entries}) < len(entries):
        raise BundleError("a name is in it twice")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if name not in MAX_BYTES:  # this refuses absolute paths, parent folders and folders as well
        raise BundleError(f"it contains {quoted(name)}: a bundle has no other files than {', '.join(MAX_BYTES)}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise BundleError(f"{name} is a link or a special file: a bundle has regular files only")
    if entry.flag_bits & 1 or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BundleError(f"{name} is encrypted, or compressed by another method than deflate")
    if entry.file_size > MAX_BYTES[name]:
        raise BundleError(f"{name} is larger than {MAX_BYTES[name] >> 10:,} KiB")
    if entry.file_size > _MAX_RATIO * max(entry.compress_size, 1):
        raise BundleError(f"{name} is compressed by more than {_MAX_RATIO} to 1")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a file, of which no more is decompressed than its entry states. Raises the errors of `_FAULTS`."""
    with archive.open(entry) as stream:
        content = stream.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise DamagedBundleError(f"{entry.filename} does not have the size that its entry states")
    return content


def check_depth(text: bytes, name: str) -> None:
    """Raise BundleError if JSON is nested too deep, before it is parsed."""
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", text)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _MAX_DEPTH:
            raise BundleError(f"{name} is nested deeper than {_MAX_DEPTH} levels")


def _manifest(text: bytes) -> Manifest:
    try:
        manifest: Manifest = typed_json.from_json(text, Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BundleError(f"{MANIFEST}: {error}") from error
    major = manifest.schema_version.partition(".")[0]
    if major != VERSION.partition(".")[0]:
        wanted = f"this inferometer reads {VERSION}: install a newer inferometer"
        raise BundleError(f"{MANIFEST}: its version is {quoted(manifest.schema_version)}, and {wanted}")
    check_uid(manifest.uid)
    return manifest


def _check_sums(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    if manifest.files.keys() != files.keys() or PROFILE not in files:
        raise BundleError(f"its files are {', '.join(sorted(files))}, and its {MANIFEST} lists others")
    for name, facts in manifest.files.items():
        if hashlib.sha256(files[name]).hexdigest() != facts.sha256 or len(files[name]) != facts.bytes:
            raise DamagedBundleError(
                f"{name} is not the file that {MANIFEST} lists (its SHA-256 differs): copy the bundle again"
            )
