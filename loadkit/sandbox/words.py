"""JSON as Rails writes it, and times as the chat spells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = ["encode", "epoch", "fraction", "iso"]

_encode = msgspec.json.Encoder().encode
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def encode(value: Any) -> bytes:
    """Return JSON with `<`, `>`, `&`, U+2028 and U+2029 escaped; everything else is raw UTF-8."""
    text = _encode(value)
    for raw, escaped in _ESCAPES:
        if raw in text:  # these bytes only occur inside JSON strings, so replacing them anywhere is safe
            text = text.replace(raw, escaped)
    return text


def epoch(stamp_us: int | None) -> int:
    """Return whole Unix seconds; never is 0."""
    return 0 if stamp_us is None else stamp_us // 1_000_000


def fraction(stamp_us: int) -> float:
    """Return Unix seconds with six decimals."""
    return stamp_us / 1_000_000


def iso(stamp_us: int | None) -> str | None:
    """Return ISO 8601 in UTC with milliseconds and a `Z`; never is None."""
    if stamp_us is None:
        return None
    seconds, rest = divmod(stamp_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:03d}Z"
