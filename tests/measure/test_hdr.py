"""Payloads against the HdrHistogram library's own."""

from __future__ import annotations

import base64
import contextlib
import struct
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadkit.measure.hdr import Encoder, decode
from loadkit.measure.histogram import HIGHEST_US, Histogram, bucket_of

values = st.one_of(st.integers(0, 5000), st.integers(0, HIGHEST_US))
ENCODER = Encoder()


def pair(samples: list[tuple[int, int]]) -> tuple[Histogram, HdrHistogram]:
    ours, theirs = Histogram(), HdrHistogram(1, HIGHEST_US, 3)
    for value, times in samples:
        theirs.record_value(value, times)
        ours.counts[bucket_of(value)] = ours.counts.get(bucket_of(value), 0) + times
        ours.count += times
    return ours, theirs


@given(st.lists(st.tuples(values, st.sampled_from([1, 1, 2, 63, 64, 8191, 10**6, 10**12])), max_size=40))
@example([])
@example([(0, 1)])
@example([(HIGHEST_US, 1)])
@settings(max_examples=60)
def test_encoding_is_byte_identical_and_decodes_to_the_same(samples: list[tuple[int, int]]) -> None:
    """One encoder, used again and again, writes what a fresh histogram of the library writes; ours and theirs read it alike."""
    ours, theirs = pair(samples)
    payload = ENCODER.encode(ours)
    assert payload.encode() == theirs.encode()
    assert decode(payload) == ours.counts
    again = HdrHistogram.decode(payload)
    assert {i: n for i in ours.counts if (n := again.get_count_at_index(i))} == ours.counts
    assert again.get_total_count() == ours.count


def test_values_out_of_range_are_not_in_a_payload() -> None:
    """They are counted beside it."""
    histogram = Histogram()
    histogram.record(HIGHEST_US + 1)
    assert decode(ENCODER.encode(histogram)) == {}


def wrapped(raw: bytes, *, cookie: int = 0x1C849314) -> str:
    packed = zlib.compress(raw)
    return base64.b64encode(struct.pack(">ii", cookie, len(packed)) + packed).decode()


def header(length: int, *, cookie: int = 0x1C849313, digits: int = 3, lowest: int = 1, highest: int = HIGHEST_US) -> bytes:
    return struct.pack(">iiiiqqd", cookie, length, 0, digits, lowest, highest, 1.0)


GOOD = wrapped(header(1) + b"\x02")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "    ",
        "HISTFAAA",
        "not base64!",
        "ümlaut",
        GOOD[:-4],
        GOOD[4:],
        base64.b64encode(b"x" * 60).decode(),
        wrapped(b""),
        wrapped(header(1) + b"\x02", cookie=1),
        wrapped(header(1, cookie=0x1C849301) + b"\x02"),
        wrapped(header(1, digits=2) + b"\x02"),
        wrapped(header(1, lowest=1000) + b"\x02"),
        wrapped(header(1, highest=10) + b"\x02"),
        wrapped(header(2) + b"\x02"),
        wrapped(header(-1) + b"\x02"),
        wrapped(header(1) + b"\x82"),
        wrapped(header(9) + b"\xff" * 9),
        wrapped(header(30_000) + b"\x02" * 30_000),
        wrapped(header(50_000_000) + bytes(50_000_000)),
    ],
)
def test_a_malformed_payload_is_a_value_error(payload: str) -> None:
    """Cut off, of another version or range, or with more buckets than there are, however large it unpacks."""
    with pytest.raises(ValueError, match="HDR"):
        decode(payload)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_a_value_error(content: bytes) -> None:
    """Nothing else comes out of a payload's inside, nor out of the outside."""
    for payload in (
        wrapped(header(len(content)) + content),
        wrapped(content),
        base64.b64encode(content).decode(),
        content.decode("latin-1"),
    ):
        with contextlib.suppress(ValueError):
            assert all(n > 0 for n in decode(payload).values())


def test_a_good_payload_of_this_test_is_good() -> None:
    """The malformed ones above differ from it in one thing each."""
    assert decode(GOOD) == {0: 1}
