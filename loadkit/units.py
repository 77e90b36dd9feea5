"""Durations, shares and rates as people write them: "2m", "800ms", "0.1%", "2/s" and back. Nothing else converts."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from fractions import Fraction

from loadkit.errors import SettingsError

__all__ = ["count_text", "iso", "ms", "per_second", "seconds", "seconds_text", "share", "share_text"]

_UNITS = {
    "us": Fraction(1, 1_000_000),
    "µs": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(us|µs|ms|s|min|m|h|d)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_LONGEST = 40


def seconds(text: str | float) -> float:
    """Return the seconds of "90", "1.5s", "800ms" or "1h30m"; a bare number is seconds. Raises SettingsError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        if math.isfinite(text) and text >= 0:
            return float(text)
        raise SettingsError(f"{text!r} is not a duration")
    plain = str(text).strip()
    number = _finite(plain)
    if number is not None:
        return number
    parts = _PART.findall(plain) if len(plain) <= _LONGEST else []
    if not parts or _PART.sub("", plain).strip():
        raise SettingsError(f"{text!r} is not a duration: write it like 800ms, 30s, 2m or 1h30m")
    return float(sum(Fraction(number) * _UNITS[unit] for number, unit in parts))


def share(text: str | float) -> float:
    """Return the fraction of "0.1%" (0.001); a bare number is a fraction already. Raises SettingsError."""
    plain = str(text).strip()
    number, percent = (plain[:-1].strip(), True) if plain.endswith("%") else (plain, False)
    if _finite(number) is None:
        raise SettingsError(f"{text!r} is not a share: write it like 0.1% or 0.001")
    return float(Fraction(number) / 100) if percent else float(number)  # 0.7% is 7/1000 to the last bit: shares are compared with quotients


def per_second(text: str | float) -> float:
    """Return the events per second of "2/s", "30/m" or "100/h"; a bare number is per second. Raises SettingsError."""
    plain = str(text).strip()
    number, slash, unit = (part.strip() for part in plain.partition("/"))
    if _finite(number) is None or (unit if slash else "s") not in ("s", "m", "min", "h"):
        raise SettingsError(f"{text!r} is not a rate: write it like 2/s, 30/m or 100/h")
    return float(Fraction(number) / _UNITS[unit or "s"])


def _finite(text: str) -> float | None:
    """Return the number that a plain text is, None for any other text and for a number too large to mean anything."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    return float(text) if math.isfinite(float(text)) else None


def ms(value_us: float | None) -> float | None:
    """Return milliseconds of microseconds, three decimals; None stays None."""
    return None if value_us is None else round(value_us / 1000, 3)


def seconds_text(value: float | None) -> str:
    """Return a duration for a reader: "–", "0.8 ms", "224 ms", "8.05 s", "2 min 5 s", "1 h 30 min"."""
    if value is None:
        return "–"
    if value < 0.0995:
        return f"{value * 1e3:.2g} ms" if value < 0.00995 else f"{value * 1e3:.1f} ms"
    if value < 0.9995:
        return f"{value * 1e3:.0f} ms"
    if value < 120:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def share_text(value: float | None) -> str:
    """Return a share for a reader: "–", "0 %", "0.12 %", "99.9 %"; never rounds a failure away."""
    if value is None:
        return "–"
    percent = value * 100
    if 0 < percent < 0.01:
        return "<0.01 %"
    if 99.99 < percent < 100:
        return ">99.99 %"
    return f"{percent:.4g} %"


def count_text(value: float | None) -> str:
    """Return a number for a reader with thin groups of thousands: "1 234 567"."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def iso(unix_us: int, *, precision: str = "milliseconds") -> str:
    """Return a moment (Unix µs) as ISO 8601 in UTC, ending in Z; `precision` is seconds or milliseconds."""
    return datetime.fromtimestamp(unix_us / 1e6, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
