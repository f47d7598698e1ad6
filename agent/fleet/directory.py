"""A directory, such as a shared mount, as the place of a fleet's profiles: one bundle for each, named after its uid.

A bundle gets its name when it is complete and on the disk, so that a reader never opens half of one. Bundles are
replaced only if they are damaged.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.bundles.archive import read_bundle
from agent.bundles.importing import created_ns_of, imported_host
from agent.bundles.manifest import MAX_BUNDLE_BYTES, DamagedBundleError, check_uid
from agent.bundles.writing import bundle_bytes
from agent.fleet.errors import FleetError, UnusablePlaceError
from agent.fleet.place import ODD, Added, Key, Refused, digest_of, reason_of
from agent.runtime.output import DISK_ERRORS
from agent.runtime.text_input import read_regular
from store.fleet import FleetHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.bundles.manifest import Bundle

_SUFFIX = ".zip"
_LONGEST_VERSION = 64
_PART = re.compile(r"\.(?P<uid>.+)\.zip\.[0-9a-f]{16}\.part")
_ABANDONED_SECONDS = 86_400
"""The age of a part that no push still writes."""
OTHER_CONTENT = "a bundle of this name with other content is there. Nothing was changed; delete that one to replace it"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of file systems without hard links, such as some network mounts."""
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Damaged(Refused):
    """A file that is no complete bundle, as after a crash of its writer."""


class DirectoryPlace:
    """The bundles of a directory.

    Raises UnusablePlaceError if it is not there: an absent mount must not be filled locally.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise UnusablePlaceError(f"{folder}: this is not a directory. Make it, or mount it")

    def close(self) -> None:
        """Do nothing: a directory has no connections."""

    def logins(self) -> dict[str, str]:
        """Return nothing: the permissions of the directory are all that protects it."""
        return {}

    def stored(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return those of the keys that have an intact bundle, with the digests of their documents.

        A part of one of them that a killed push left more than a day ago is removed.
        """
        _remove_parts(self._folder, frozenset(key.uid for key in keys))
        found = {}
        for key in keys:
            with suppress(*ODD):  # `add` reports it
                bundle = self._read(self._path(key.uid))
                if not isinstance(bundle, Refused) and imported_host(bundle.document["host"]).id == key.host_id:
                    found[key] = digest_of(bundle.document)
        return found

    def _path(self, uid: str) -> Path:
        """Return the path of a bundle. Raises BundleError for a uid that no profile can have."""
        check_uid(uid)  # it has no slash and does not begin with a dot
        return self._folder / f"{uid}{_SUFFIX}"

    def add(self, documents: Sequence[dict[str, Any]], *, anonymized: bool) -> Added:
        """Write the bundles that are not there; a damaged one is replaced."""
        done = Added()
        for document in documents:
            try:
                path, content = self._path(document["id"]), bundle_bytes(document, None, None, anonymized=anonymized)
            except ODD as error:
                done.refused.append(Refused(document["id"], reason_of(error)))
            else:
                self._add(document, path, content, done)
        return done

    def _add(self, document: dict[str, Any], path: Path, content: bytes, done: Added) -> None:
        uid, there = document["id"], self._read(path)
        try:
            if isinstance(there, Refused) and self._write(path, content, replaces=isinstance(there, _Damaged)):
                done.uids.append(uid)
                return
            there = self._read(path)  # another push may have written it meanwhile
        except OSError as error:  # of this name alone, such as a directory in its place
            done.refused.append(Refused(uid, f"{path.name} cannot be written ({error.strerror or error})"))
            return
        if isinstance(there, Refused):
            done.refused.append(Refused(uid, f"{path.name} is there and is not replaced: {there.reason}"))
        elif there.document != document:
            done.refused.append(Refused(uid, OTHER_CONTENT))

    def _write(self, path: Path, content: bytes, *, replaces: bool) -> bool:
        """Write a file under its name; return False if the name is taken.

        Raises FleetError if the directory cannot be written, and OSError if the file cannot get its name.
        """
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        try:
            try:
                with os.fdopen(os.open(part, _WRITE, 0o644), "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                kind = FleetError if error.errno in DISK_ERRORS else UnusablePlaceError
                raise kind(f"{self._folder}: it cannot be written ({error.strerror or error})") from error
            return _named(part, path, replaces=replaces)
        finally:
            with suppress(OSError):
                part.unlink()

    def bundles(self, since_ns: int, known: Mapping[str, str]) -> Iterator[Bundle | Refused]:
        """Yield the bundles, and the files that are none; one with a known uid is not read."""
        for path in self._files():
            if path.stem in known:
                continue
            bundle = self._read(path)
            if isinstance(bundle, Refused) or created_ns_of(bundle.document) >= since_ns:
                yield bundle

    def _files(self) -> list[Path]:
        try:
            return sorted(
                path for path in self._folder.iterdir() if path.suffix == _SUFFIX and not path.name.startswith(".")
            )
        except OSError as error:
            raise UnusablePlaceError(f"{self._folder}: it cannot be read ({error.strerror})") from error

    def _read(self, path: Path) -> Bundle | Refused:
        """Return the bundle of a file; it is not trusted, and neither are its name and its kind."""
        try:
            bundle = read_bundle(read_regular(path, MAX_BUNDLE_BYTES, "a bundle"))
            created_ns_of(bundle.document)
        except DamagedBundleError as error:
            return _Damaged(path.name, str(error))
        except ODD as error:
            return Refused(path.name, reason_of(error))
        if bundle.manifest.uid != path.stem:
            return Refused(
                path.name, f"it is the bundle of {bundle.manifest.uid}. Name it {bundle.manifest.uid}{_SUFFIX}"
            )
        return bundle

    def hosts(self, report: Callable[[Refused], object]) -> tuple[FleetHost, ...]:
        """Return the hosts that have bundles."""
        found: dict[str, FleetHost] = {}
        for bundle in self.bundles(0, {}):
            if isinstance(bundle, Refused):
                report(bundle)
                continue
            host = _host_of(bundle.document)
            before = found.get(host.host_id, host)
            newest = max(before, host, key=lambda each: each.newest_ns)
            found[host.host_id] = replace(newest, profiles=1 + (before.profiles if host.host_id in found else 0))
        return tuple(sorted(found.values(), key=lambda host: (host.name, host.host_id)))


def _host_of(document: dict[str, Any]) -> FleetHost:
    host = imported_host(document["host"])
    versions = (document[name][:_LONGEST_VERSION] for name in ("inferometer_version", "schema_version"))
    return FleetHost(host.id, host.name, 1, created_ns_of(document), *versions)


def _remove_parts(folder: Path, uids: frozenset[str]) -> None:
    """Remove the abandoned parts of bundles of these profiles; the parts of others may still be written."""
    found: list[Path] = []
    with suppress(OSError):  # a directory may be for writing only
        found += folder.iterdir()
    for path in found:
        match = _PART.fullmatch(path.name)
        if match and match["uid"] in uids:
            with suppress(OSError):  # another push has removed it, or another user owns it
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode) and facts.st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink()


def _named(part: Path, path: Path, *, replaces: bool) -> bool:
    """Give a complete file its name; return False if the name is taken. Raises OSError."""
    if replaces:
        part.replace(path)
    else:
        try:
            os.link(part, path, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(path):
                return False
            part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network mounts cannot; a name that a power cut removes is pushed again
            os.fsync(directory)
    finally:
        os.close(directory)
    return True
