"""Our buckets to and from HdrHistogram's compressed format, so that every HDR tool reads a run's latencies.

Encoding borrows the library's encoder and one reused histogram; it belongs into a thread pool, one call at a time.
"""

from __future__ import annotations

import base64
import struct
import zlib

from hdrh.histogram import HdrHistogram

from loadkit.measure.histogram import BUCKETS, HIGHEST_US, Histogram

__all__ = ["Encoder", "decode"]

_V2_COOKIE = 0x1C849303
_ENVELOPE_COOKIE = 0x1C849304
_ENVELOPE = struct.Struct(">ii")
_HEADER = struct.Struct(">iiiiqqd")
_MOST_BYTES = _HEADER.size + 9 * BUCKETS


class Encoder:
    """Turns histograms into base64 payloads of the HDR V2 format; not for use by two threads at once."""

    def __init__(self) -> None:
        self._hdr = HdrHistogram(1, HIGHEST_US, 3)

    def encode(self, histogram: Histogram) -> str:
        """Return the payload of a histogram; values out of range are not in it."""
        hdr, touched = self._hdr, histogram.counts
        for bucket, n in touched.items():
            hdr.counts[bucket] = n
        lowest = min((bucket for bucket in touched if bucket), default=0)
        hdr.set_internal_tacking_values(lowest, max(touched, default=0), histogram.count)
        try:
            return str(hdr.encode().decode("ascii"))
        finally:
            for bucket in touched:
                hdr.counts[bucket] = 0
            hdr.min_value, hdr.max_value, hdr.total_count = (1 << 63) - 1, 0, 0


def decode(payload: str) -> dict[int, int]:
    """Return the counts by bucket that a V2 payload of three digits and our range holds. Raises ValueError for any other.

    The library needs 2 ms for this whatever the size, which a long run's tens of thousands of lines would feel.
    """
    try:
        packed = base64.b64decode(payload, validate=True)
        envelope, size = _ENVELOPE.unpack_from(packed)
        raw = zlib.decompressobj().decompress(packed[_ENVELOPE.size :], _MOST_BYTES)
        cookie, length, shift, digits, lowest, highest, _ = _HEADER.unpack_from(raw)
    except (ValueError, zlib.error, struct.error) as error:
        raise ValueError(f"not an HDR payload: {error}") from None
    if (envelope & ~0xF0, cookie & ~0xF0) != (_ENVELOPE_COOKIE & ~0xF0, _V2_COOKIE & ~0xF0):
        raise ValueError("an HDR payload of another version")
    if (shift, digits, lowest, highest) != (0, 3, 1, HIGHEST_US):
        raise ValueError("an HDR payload of another range")
    if size != len(packed) - _ENVELOPE.size or length != len(raw) - _HEADER.size:
        raise ValueError("an HDR payload that was cut off")
    return _counts(raw[_HEADER.size :])


def _counts(raw: bytes) -> dict[int, int]:
    """Undo ZigZag LEB128: a positive number is a bucket's count, a negative one a run of empty buckets."""
    counts: dict[int, int] = {}
    bucket = at = 0
    while at < len(raw):
        number = shift = 0
        for step in range(9):
            if at >= len(raw):
                raise ValueError("an HDR payload that ends in mid-number")
            byte = raw[at]
            at += 1
            number |= (byte if step == 8 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        number = (number >> 1) ^ -(number & 1)
        if number < 0:
            bucket -= number
            if bucket > BUCKETS:
                raise ValueError("an HDR payload with more buckets than its range has")
            continue
        if bucket >= BUCKETS:
            raise ValueError("an HDR payload with more buckets than its range has")
        if number:
            counts[bucket] = number
        bucket += 1
    return counts
