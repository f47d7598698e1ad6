"""The header of a GGUF file, from bytes."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.llama.gguf import GgufError, read_header
from gguf_files import F32, header, small_file, string, value


def read(content):
    return read_header(io.BytesIO(content), len(content))


def test_a_header_has_architecture_file_type_context_and_the_sum_of_the_elements():
    found = read(small_file(15))
    assert (found.architecture, found.file_type, found.context_tokens) == ("llama", "Q4_K_M", 2048)
    assert (found.parameters, found.files) == (72, 1)


def test_a_file_without_keys_has_unknown_facts():
    found = read(header({}, [("x", (3,), F32, 0)]) + bytes(64))
    assert (found.architecture, found.file_type, found.context_tokens, found.parameters) == (None, None, None, 3)


def test_an_unknown_file_type_is_unknown():
    assert read(small_file(999)).file_type is None


def test_the_number_of_files_of_a_split_model_is_read():
    assert read(small_file(**{"split.count": 3})).files == 3


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "truncated"),
        (b"PK\3\4" + bytes(40), "not a GGUF file"),
        (header({}, [], version=1), "version is 1"),
        (header({}, [], version=0x03000000), "version is 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 40, 0), "1099511627776 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "1099511627776 keys"),
        (header({}, [("x", (1, 1, 1, 1, 1), F32, 0)]), "5 dimensions"),
        (header({}, [("x", (1 << 40, 1 << 40), F32, 0)]), "more than a model can have"),
        (header({}, [("x", (8,), F32, 1 << 40)]), "a tensor begins at byte"),
        (header({"general.alignment": 1 << 30}, []), "alignment"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<I", 99), "unknown type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 62), "truncated"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", 9, 8, 1 << 62), "truncated"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", 9, 9, 1), "unknown type 9"),
    ],
)
def test_a_hostile_or_truncated_header_is_refused_with_its_cause(content, cause):
    with pytest.raises(GgufError, match=cause):
        read(content)


def test_a_header_larger_than_half_a_gibibyte_is_refused_without_reading_it():
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string("k") + struct.pack("<IIQ", 9, 0, 600 << 20)
    with pytest.raises(GgufError, match="more than 512 MiB"):
        read_header(io.BytesIO(start), 1 << 40)


@given(st.integers(0, len(small_file()) - 289), st.binary(min_size=1, max_size=8))
def test_a_damaged_header_is_read_or_refused(place, damage):
    content = small_file()
    damaged = content[:place] + damage + content[place + len(damage) :]
    with suppress(GgufError):
        assert read(damaged).parameters >= 0


@given(st.integers(0, len(small_file()) - 40))
def test_every_truncated_file_is_refused(size):
    with pytest.raises(GgufError, match="truncated"):
        read(small_file()[:size])


@given(
    st.text(max_size=40), st.one_of(st.text(max_size=2000), st.integers(0, 2**32 - 1), st.lists(st.text(max_size=9)))
)
def test_any_key_and_value_is_read(name, found):
    start = header({name: found, "general.file_type": 7}, [])
    assert read(start).file_type == "Q8_0"
    assert len(value(found)) > 4
