"""A directory, such as a shared mount, as the place of a fleet's profiles: one bundle for each, named after its uid.

A bundle gets its name when it is complete and on the disk, so that a reader never opens half of one. Bundles are
replaced only if they are damaged.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.bundles.archive import read_bundle
from agent.bundles.importing import created_ns_of, imported_host
from agent.bundles.manifest import MAX_BUNDLE_BYTES, BundleError, check_uid
from agent.bundles.writing import bundle_bytes
from agent.fleet.errors import FleetError
from agent.fleet.place import Added, Key, Refused
from agent.runtime.text_input import TextInputError, read_bytes
from store.fleet import FleetHost

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from pathlib import Path

    from agent.bundles.manifest import Bundle

_SUFFIX = ".zip"
OTHER_CONTENT = "a bundle of this name with other content is there. Nothing was changed; delete that one to replace it"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of file systems without hard links, such as some network mounts."""
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class DirectoryPlace:
    """The bundles of a directory. Raises FleetError if it is not there: an absent mount must not be filled locally."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise FleetError(f"{folder}: this is not a directory. Make it, or mount it")

    def close(self) -> None:
        """Do nothing: a directory has no connections."""

    def logins(self) -> dict[str, str]:
        """Return nothing: the permissions of the directory are all that protects it."""
        return {}

    def stored(self, keys: Sequence[Key]) -> frozenset[Key]:
        """Return those of the keys that have an intact bundle."""
        return frozenset(key for key in keys if self._holds(key))

    def _holds(self, key: Key) -> bool:
        bundle = self._intact(key.uid)
        return bundle is not None and imported_host(bundle.document["host"]).id == key.host_id

    def _intact(self, uid: str) -> Bundle | None:
        found = self._path(uid)
        bundle = self._read(found) if found.exists() else None
        return None if isinstance(bundle, Refused) else bundle

    def _path(self, uid: str) -> Path:
        try:
            check_uid(uid)  # it has no slash and does not begin with a dot
        except BundleError as error:
            raise FleetError(f"profile {uid!r}: {error}") from error
        return self._folder / f"{uid}{_SUFFIX}"

    def add(self, documents: Sequence[dict[str, Any]], *, anonymized: bool) -> Added:
        """Write the bundles that are not there; a damaged one is replaced."""
        done = Added()
        for document in documents:
            uid = document["id"]
            try:
                content = bundle_bytes(document, None, None, anonymized=anonymized)
                if self._write(self._path(uid), content):
                    done.uids.append(uid)
                elif (there := self._intact(uid)) is None or there.document != document:
                    done.refused.append(Refused(uid, OTHER_CONTENT))
            except BundleError as error:
                done.refused.append(Refused(uid, str(error)))
            except OSError as error:
                raise FleetError(f"{self._folder}: it cannot be written ({error.strerror or error})") from error
        return done

    def _write(self, path: Path, content: bytes) -> bool:
        """Write a file under its name; return False if an intact bundle has the name. Raises OSError."""
        damaged = path.exists() and isinstance(self._read(path), Refused)
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        with os.fdopen(os.open(part, _WRITE, 0o644), "wb") as stream:
            try:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
                return _named(part, path, replaces=damaged)
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()

    def bundles(self, since_ns: int, known: Container[str]) -> Iterator[Bundle | Refused]:
        """Yield the bundles, and the files that are none."""
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
            raise FleetError(f"{self._folder}: it cannot be read ({error.strerror})") from error

    def _read(self, path: Path) -> Bundle | Refused:
        try:
            bundle = read_bundle(read_bytes(path, MAX_BUNDLE_BYTES, "a bundle"))
            created_ns_of(bundle.document)
        except (TextInputError, BundleError) as error:
            return Refused(path.name, str(error))
        if bundle.manifest.uid != path.stem:
            return Refused(
                path.name, f"it is the bundle of {bundle.manifest.uid}. Name it {bundle.manifest.uid}{_SUFFIX}"
            )
        return bundle

    def hosts(self, report: Callable[[Refused], object]) -> tuple[FleetHost, ...]:
        """Return the hosts that have bundles."""
        found: dict[str, FleetHost] = {}
        for bundle in self.bundles(0, ()):
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
    versions = document["inferometer_version"], document["schema_version"]
    return FleetHost(host.id, host.name, 1, created_ns_of(document), *versions)


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
            if path.exists():
                return False
            part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)  # so that the name survives a power cut as well
    finally:
        os.close(directory)
    return True
