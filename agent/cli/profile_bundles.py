"""Bundles: the `--bundle` of `inferometer profiles export`, and `inferometer profiles import`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, fail
from agent.cli.stored_profiles import document_named, find, is_path, reading
from agent.runtime.console import ExitCode, print_err, print_json, print_out, printable_line

if TYPE_CHECKING:
    from agent.bundles.anonymize import Anonymizer
    from agent.bundles.manifest import Bundle

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """The contents of a bundle, and the key that signs it."""

    anonymize: bool
    samples: bool
    key: Path | None


def check_parquet() -> None:
    """End the command if the extra `parquet` is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401  checked before anything is read
    except ImportError as error:
        needs = f"Parquet needs the extra `parquet` ({error}): pip install 'inferometer[parquet]'"
        fail(needs, ExitCode.USAGE)


def bundle_of(context: typer.Context, name: str, options: BundleOptions) -> tuple[_Json, bytes]:
    """Return the document and the archive of a profile; an error ends the command."""
    from agent.bundles.anonymize import Anonymizer
    from agent.bundles.manifest import BundleError
    from agent.bundles.signatures import signature
    from agent.bundles.writing import bundle_bytes

    document = document_named(context, name)
    anonymizer = Anonymizer(document) if options.anonymize else None
    sign = None if options.key is None else partial(signature, key=options.key)
    try:
        samples, span_ns = (
            _samples(context, name, anonymizer) if options.samples and not is_path(name) else (None, None)
        )
        document = anonymizer.document() if anonymizer else document
        return document, bundle_bytes(document, samples, span_ns, anonymized=options.anonymize, sign=sign)
    except BundleError as error:
        fail(f"{name}: {error}", ExitCode.USAGE)


def _samples(
    context: typer.Context, name: str, anonymizer: Anonymizer | None
) -> tuple[bytes | None, tuple[int, int] | None]:
    """Return the samples of a stored profile as Parquet and the times of its run, None without stored samples."""
    from agent.bundles.coarse_trace import coarse, coarse_span
    from agent.bundles.trace import as_parquet, samples_of_run

    profile = find(context, name)
    with reading(context) as reader:
        found = samples_of_run(reader, profile.run_id) if reader else None
        if found is None:
            print_err(f"no samples of profile {profile.id} are stored: the bundle has none")
            return None, None
        check_parquet()
        samples, span_ns = found
        if anonymizer is None:
            return as_parquet(samples), span_ns
        return as_parquet(coarse(samples, anonymizer)), coarse_span(span_ns)


def import_bundles(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Bundles that `profiles export --bundle` wrote.")
    ],
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="ALLOWED_SIGNERS",
            help="Accept only bundles signed by a signer in this file (ssh-keygen(1), ALLOWED SIGNERS).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Add profiles of other hosts to the store.

    A bundle is stored once: importing the same one again changes nothing, and one with the same uid and other content
    is an error. `profiles list` and `profiles show` mark an imported profile. Its samples are those of another host in
    `inferometer samples`, and stay until the profile is deleted.

    Example: inferometer profiles import gpu-server.zip

    Example: inferometer profiles import *.zip --verify allowed_signers
    """
    found = [_imported(context, file, verify) for file in files]
    if as_json:
        print_json({"profiles": found})
    else:
        for each in found:
            signed = f", signed by {printable_line(each['signer'])}" if each["signer"] else ""
            print_out(f"{each['id']} {'imported' if each['stored'] else 'was stored already'}{signed}")


def _imported(context: typer.Context, file: Path, allowed_signers: Path | None) -> _Json:
    from agent.bundles.archive import read_bundle
    from agent.bundles.importing import store_bundle
    from agent.bundles.manifest import MAX_BUNDLE_BYTES, BundleError
    from agent.bundles.signatures import verified_signer
    from agent.cli.stores import opened
    from agent.runtime.text_input import TextInputError, read_bytes

    try:
        bundle = read_bundle(read_bytes(file, MAX_BUNDLE_BYTES, "a bundle"))
        signer = verified_signer(bundle.manifest_text, bundle.signature, allowed_signers) if allowed_signers else None
    except (TextInputError, BundleError) as error:
        fail(f"{file}: {error}", ExitCode.USAGE)
    if bundle.samples is not None:
        check_parquet()
    _warn_unverified(file, bundle, allowed_signers)
    with opened(context, create=True) as engine:
        try:
            stored = store_bundle(bundle, engine)
        except BundleError as error:
            fail(f"{file}: {error}")
    return {"id": bundle.manifest.uid, "file": str(file), "stored": stored, "signer": signer}


def _warn_unverified(file: Path, bundle: Bundle, allowed_signers: Path | None) -> None:
    if bundle.signature is not None and allowed_signers is None:
        print_err(f"warning: {file}: its signature was not verified; give --verify ALLOWED_SIGNERS")
