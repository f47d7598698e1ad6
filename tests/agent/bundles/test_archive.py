"""A hostile archive is refused with the reason, before anything of it is decompressed or stored."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from agent.bundles import trace
from agent.bundles.archive import check_depth, read_bundle
from agent.bundles.manifest import BundleError
from agent.bundles.trace import as_parquet, read_samples
from agent.bundles.writing import bundle_bytes
from agent.render.sample_rows import Sample
from bundled import archive, files_of, listed
from command import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
ROWS = [Sample(10**18 + n, "gpu-0", "board", "power_watts", "measured", float(n), "watts", 1) for n in range(5)]
BUNDLE = bundle_bytes(DOCUMENT, as_parquet(ROWS), (10**18, 10**18 + 5))
FILES = files_of(BUNDLE)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def refused(content: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_bundle(content)


def relisted(files: dict[str, bytes]) -> dict[str, bytes]:
    return listed(files, json.loads(FILES["manifest.json"]))


def test_the_bundle_of_these_tests_is_valid() -> None:
    bundle = read_bundle(BUNDLE)
    assert bundle.document == DOCUMENT
    assert bundle.samples is not None
    assert list(read_samples(bundle.samples)) == ROWS
    assert read_bundle(archive(relisted(FILES))).document == DOCUMENT


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../profile.json", "a/profile.json", "profile.json/", "x", "PROFILE.JSON"]
)
def test_any_other_name_is_refused(name: str) -> None:
    refused(archive([*FILES.items(), (name, b"")]), "it contains .*: a bundle has no other files than")


def test_a_link_is_refused() -> None:
    link = zipfile.ZipInfo("profile.json")
    link.external_attr = 0o120777 << 16
    refused(archive([(link, b"/etc/passwd")]), "profile.json is a link or a special file")


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive([*FILES.items(), ("profile.json", b"{}")])
    refused(content, "a name is in it twice")


def test_too_many_entries_are_refused_before_the_directory_is_read() -> None:
    refused(archive({f"{number}": b"" for number in range(100)}), "more entries than the 5 files")


@pytest.mark.parametrize("name", ["manifest.json", "profile.json", "tariff.json"])
def test_a_bomb_is_refused_by_the_ratio_that_its_entry_states(name: str) -> None:
    refused(archive({**FILES, name: b" " * 60_000}), f"{name} is compressed by more than 200 to 1")


def test_a_file_larger_than_its_limit_is_refused() -> None:
    refused(archive({**FILES, "manifest.json": bytes(range(256)) * 257}), "manifest.json is larger than 64 KiB")


def test_an_entry_that_states_a_smaller_size_is_refused() -> None:
    content = archive({**FILES, "tariff.json": b"a" * 4000})
    states, lies = (4000).to_bytes(4, "little"), (40).to_bytes(4, "little")
    assert content.count(states) == 2
    refused(content.replace(states, lies), "tariff.json|damaged")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(method: int) -> None:
    entry = zipfile.ZipInfo("profile.json")
    entry.compress_type = method
    refused(archive([(entry, FILES["profile.json"])]), "compressed by another method than deflate")


@pytest.mark.parametrize("text", ["[" * 40, '{"a":' * 40, '["]]]]",' * 40])
def test_json_that_is_nested_too_deep_is_refused_before_it_is_parsed(text: str) -> None:
    refused(archive({**FILES, "manifest.json": text.encode()}), "manifest.json is nested deeper than 32 levels")
    refused(archive(relisted({**FILES, "profile.json": text.encode()})), "profile.json is nested deeper than 32 levels")


def test_brackets_in_texts_are_no_nesting() -> None:
    check_depth(json.dumps(["[" * 100, "\\", '"' + "{" * 100, "\\\\"]).encode(), "profile.json")


@pytest.mark.parametrize("name", ["profile.json", "samples.parquet", "tariff.json"])
def test_a_changed_file_is_refused(name: str) -> None:
    refused(archive({**FILES, name: FILES[name] + b" "}), f"{name} is not the file that manifest.json lists")
    without = {each: content for each, content in FILES.items() if each != name}
    refused(archive(without), "and its manifest.json lists others")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"schema": "other"}, "manifest.json: "),
        ({"schema_version": "2.0"}, "install a newer inferometer"),
        ({"uid": "../x"}, "is not the id of a profile"),
        ({"uid": "latest"}, "is not the id of a profile"),
        ({"uid": "other"}, "is not the uid other of the bundle"),
        ({"more": 1}, "manifest.json: "),
        ({"ended_ns": 2**63}, "manifest.json: .*ended_ns"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(changed: dict[str, object], words: str) -> None:
    manifest = {**json.loads(FILES["manifest.json"]), **changed}
    refused(archive({**FILES, "manifest.json": json.dumps(manifest).encode()}), words)


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", b"\x80\x04K\x01.", BUNDLE[:-1], BUNDLE[:1000], BUNDLE + b"x"])
def test_another_file_is_refused(content: bytes) -> None:
    refused(content, "it is not a bundle: name a file that `inferometer profiles export --bundle` wrote")


@pytest.mark.parametrize(("text", "words"), [("\0", "has a null character"), ("\ud800", "not valid Unicode")])
def test_a_text_that_a_store_cannot_hold_is_refused(text: str, words: str) -> None:
    document = json.dumps({**DOCUMENT, "notes": [text]}).encode()
    refused(archive(relisted({**FILES, "profile.json": document})), words)


def test_a_profile_of_another_program_is_refused() -> None:
    refused(archive(relisted({**FILES, "profile.json": b"{}"})), "profile.json: not a profile")


@given(position=st.integers(0, len(BUNDLE) - 1), byte=st.integers(0, 255), cut=st.booleans())
@FEW
def test_a_damaged_bundle_is_refused_or_is_the_same(position: int, byte: int, cut: bool) -> None:
    content = BUNDLE[:position] if cut else BUNDLE[:position] + bytes([byte]) + BUNDLE[position + 1 :]
    try:
        bundle = read_bundle(content)
    except BundleError:
        return
    assert (bundle.document, bundle.samples) == (DOCUMENT, FILES["samples.parquet"])


_SAMPLES = FILES["samples.parquet"]


@given(position=st.integers(0, len(_SAMPLES) - 1), byte=st.integers(0, 255), cut=st.booleans())
@FEW
def test_damaged_samples_are_refused_or_are_samples(position: int, byte: int, cut: bool) -> None:
    content = _SAMPLES[:position] if cut else _SAMPLES[:position] + bytes([byte]) + _SAMPLES[position + 1 :]
    try:
        found = list(read_samples(content))
    except BundleError:
        return
    assert all(isinstance(sample, Sample) for sample in found)


def rows(**changed: object) -> bytes:
    return as_parquet([ROWS[0]._replace(**changed)])


@pytest.mark.parametrize(
    "content",
    [
        rows(value=float("nan")),
        rows(value=float("inf")),
        rows(device="a\nb"),
        rows(device="\x1b[2J"),
        rows(domain="x" * 300),
        rows(metric="harm_total"),
        rows(source="invented"),
        rows(unit="joules"),
    ],
)
def test_a_row_that_is_not_a_sample_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="is not a sample"):
        list(read_samples(content))


def test_other_columns_are_refused() -> None:
    stream = BytesIO()
    parquet.write_table(pa.table({"time": [1], "value": [2.0]}), stream)
    with pytest.raises(BundleError, match="its columns are not those of"):
        list(read_samples(stream.getvalue()))


def test_too_many_rows_are_refused_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_ROWS", 4)
    with pytest.raises(BundleError, match="more than 4 rows"):
        next(read_samples(_SAMPLES))
    with pytest.raises(BundleError, match="leave them out with --no-samples"):
        as_parquet(ROWS)


def test_a_row_group_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_MAX_GROUP_BYTES", 10)
    with pytest.raises(BundleError, match="a row group has more than"):
        next(read_samples(_SAMPLES))
