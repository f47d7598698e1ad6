"""Signs manifests, and verifies their signatures, with the keys of SSH: `ssh-keygen -Y`, ssh-keygen(1)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from agent.bundles.manifest import BundleError
from agent.runtime.text_input import MAX_BYTES, TextInputError, named, read_bytes
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACE = "inferometer-bundle"
"""The purpose of the signatures: one made for another program is not valid for a bundle."""
_SECONDS = 60
"""The time that a user has to enter the passphrase of a key."""


def signature(manifest: bytes, key: Path) -> bytes:
    """Return the signature of a manifest. Raises BundleError if the key cannot be used."""
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:  # private to this user
        file = Path(folder, "manifest.json")
        file.write_bytes(manifest)
        done = _ssh_keygen(["-Y", "sign", "-f", str(key.absolute()), "-n", NAMESPACE, str(file)])
        if done.returncode:
            raise BundleError(f"--sign: {named(key)} cannot sign: {_cause(done)}. Name a private key of SSH")
        return file.with_name(f"{file.name}.sig").read_bytes()


def verified_signer(manifest: bytes, signed: bytes | None, allowed_signers: Path) -> str:
    """Return the name of the allowed signer who signed a manifest.

    Raises BundleError if it is not signed, by none of them, or the file of allowed signers cannot be read.
    """
    if signed is None:
        raise BundleError("it is not signed: import it without --verify, or ask for a signed one (--sign)")
    try:
        allowed = read_bytes(allowed_signers, MAX_BYTES, "a file of allowed signers (ssh-keygen(1))")
    except TextInputError as error:
        raise BundleError(f"--verify: {named(allowed_signers)}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:
        signers, file = Path(folder, "allowed_signers"), Path(folder, "manifest.json.sig")
        signers.write_bytes(allowed)
        file.write_bytes(signed)
        common = ["-f", str(signers), "-s", str(file)]
        found = _ssh_keygen(["-Y", "find-principals", *common])
        for name in found.stdout.decode(errors="replace").splitlines():
            arguments = ["-Y", "verify", *common, "-I", name, "-n", NAMESPACE]
            if not found.returncode and not _ssh_keygen(arguments, manifest).returncode:
                return one_line(name)
    raise BundleError(f"its signature is not valid for a signer in {named(allowed_signers)}: do not trust it")


def _ssh_keygen(arguments: Sequence[str], given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise BundleError("ssh-keygen is not installed: apt install openssh-client")
    try:
        return subprocess.run(
            [program, *arguments], input=given or b"", capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"ssh-keygen did not end within {_SECONDS} s") from error


def _cause(done: subprocess.CompletedProcess[bytes]) -> str:
    return one_line(done.stderr.decode(errors="replace")) or f"ssh-keygen ended with {done.returncode}"
