"""The parser of event streams, on literal streams and on random ones that are cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.load import sse
from agent.workloads.load.sse import EventStream


def events(*chunks: bytes) -> list[bytes]:
    stream = EventStream()
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.finish()


def test_several_events_in_one_packet_are_separate():
    assert events(b"data: a\n\ndata: b\n\ndata: [DONE]\n\n") == [b"a", b"b", b"[DONE]"]


def test_data_without_a_space_and_with_crlf_is_read():
    assert events(b"data:a\r\n\r\ndata:  b\r\n\r\n") == [b"a", b" b"]


def test_comments_and_other_fields_are_dropped():
    assert events(b": keep-alive\n\nevent: x\nid: 1\nretry: 9\ndata: a\n\n:\n\n") == [b"a"]


def test_data_lines_of_one_event_are_joined_by_a_newline():
    assert events(b"data: a\ndata:\ndata: b\n\n") == [b"a\n\nb"]


def test_a_byte_order_mark_at_the_start_is_dropped():
    assert events(b"\xef\xbb\xbfdata: a\n\n") == [b"a"]


def test_the_end_of_the_stream_ends_an_event_without_an_empty_line():
    assert events(b"data: a\n\ndata: [DONE]") == [b"a", b"[DONE]"]
    assert events(b"data: a\n\n") == [b"a"]


def test_an_event_is_returned_with_the_chunk_that_ends_it():
    stream = EventStream()
    assert stream.feed(b"data: a\n") == []
    assert stream.feed(b"\n") == [b"a"]


def test_a_line_without_an_end_is_refused_beyond_the_limit():
    with pytest.raises(ValueError, match="larger than 4 MiB"):
        events(*[b"x" * (1 << 20)] * 5)


def test_an_event_of_many_lines_is_refused_beyond_the_limit():
    with pytest.raises(ValueError, match="larger than 4 MiB"):
        events(*[b"data: " + b"x" * 1000 + b"\n"] * (sse.MOST_BYTES // 1000 + 2))


@given(
    contents=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)),
    ending=st.sampled_from(["\n", "\r\n"]),
    space=st.booleans(),
    comment=st.booleans(),
    cuts=st.lists(st.integers(0, 400)),
)
def test_the_events_do_not_depend_on_the_borders_of_chunks(contents, ending, space, comment, cuts):
    extra = f": ping{ending}{ending}" if comment else ""
    text = "".join(f"{extra}data:{' ' if space else ''}{each}{ending}{ending}" for each in contents)
    whole = text.encode()
    borders = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(borders)]
    expected = [each.encode() if space else each.removeprefix(" ").encode() for each in contents]
    assert events(*chunks) == expected
