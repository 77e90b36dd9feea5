"""A server's clock against ours, without asking it: every message that tells when it was saved was saved after it was sent and before
it was answered or shown, whatever the clocks say. What all messages of the last minute allow is narrow once one was quick on either side.

Servers are not always one clock: it may drift or be set, several hosts may answer, a single date may be wrong. What contradicts the
others by little widens the bounds, what contradicts them by much is left out, and several such in a row mean that the clock was set.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["IN_A_ROW", "Bounds", "Moment", "Saved", "ServerClock", "read_moment"]

LASTS_US, MOST = 60_000_000, 1_000
"""How long, and how many, messages bind the offset."""

DRIFT = 20e-6
"""How fast two kept clocks may part: what a message of a minute ago tells is wider by 1.2 ms either way."""

NEAR_US = 25_000
"""Messages that contradict each other by more cannot both be right; by less they show how far the clocks of several hosts are apart."""

TRIM = 200
"""Where messages contradict each other, one in so many on either side is taken to be wrong by itself."""

ROUNDED_US = 1_000
"""And the bounds are so much wider: the most by which a date that is cut or rounded tells less than the truth."""

IN_A_ROW = 5
"""So many messages in a row that contradict all before them: the clock was set."""

_WITH_SECONDS = re.compile(r".*\d\d:\d\d:\d\d(?:[.,](\d+))?(?:Z|[+-]\d\d:?\d\d)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FROM_US, _TO_US = 946_684_800_000_000, 4_102_444_800_000_000  # the years 2000 to 2099


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which offsets (µs) the server's clock less ours lies."""

    low_us: float
    high_us: float

    @property
    def best_us(self) -> float:
        """The offset to reckon with: none where the bounds allow it, because clocks are commonly kept by NTP, else the middle."""
        return 0.0 if self.low_us <= 0 <= self.high_us else (self.low_us + self.high_us) / 2

    def gap_us(self, other: Bounds) -> float:
        """Return how far two bounds are apart, 0 where both allow something."""
        return max(0.0, self.low_us - other.high_us, other.low_us - self.high_us)

    def wider(self, by_us: float) -> Bounds:
        """Return bounds that are wider on either side."""
        return Bounds(self.low_us - by_us, self.high_us + by_us)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message was saved by our clock (µs), and by how much that may be off."""

    at_us: float
    uncertain_us: float


@dataclass(frozen=True, slots=True)
class Saved:
    """A message that was saved between `sent_us` and `until_us` by our clock, and at `at_us` (to the grain) by the server's."""

    sent_us: int
    until_us: int
    at_us: int
    grain_us: int

    def allows(self) -> Bounds:
        """Return the offsets that this message alone allows."""
        return Bounds(self.at_us - self.until_us, self.at_us + self.grain_us - self.sent_us)

    def moment(self, offset: Bounds) -> Moment | None:
        """Return when it was saved; None where that contradicts the offset by so much that one of the two is wrong."""
        gap_us = self.allows().gap_us(offset)
        if gap_us > NEAR_US:
            return None
        first, last = self.at_us - offset.high_us, self.at_us + self.grain_us - offset.low_us
        best = min(max(self.at_us + self.grain_us / 2 - offset.best_us, self.sent_us), self.until_us)
        if gap_us:
            return Moment(best, gap_us + last - first)
        return Moment(best, max(best - max(first, self.sent_us), min(last, self.until_us) - best))


class ServerClock:
    """The offset of one server's clock, as the messages of the last minute allow it; `bounds` is None before there is one."""

    def __init__(self) -> None:
        self._known: deque[tuple[int, Bounds]] = deque(maxlen=MOST)
        self.bounds: Bounds | None = None

    def contradicts(self, saved: Saved) -> bool:
        """Return whether a message and the offset cannot both be right."""
        return self.bounds is not None and saved.allows().gap_us(self.bounds) > NEAR_US

    def learn(self, saved: Sequence[Saved], now_us: int) -> None:
        """Let messages bind the offset."""
        self._known.extend((one.until_us, one.allows()) for one in saved)
        while self._known and self._known[0][0] < now_us - LASTS_US:
            self._known.popleft()
        if self._known:
            self.bounds = _agreed([bounds.wider(max(0, now_us - at_us) * DRIFT) for at_us, bounds in self._known])

    def restart(self, saved: Sequence[Saved], now_us: int) -> None:
        """Forget what was known: the clock was set, and these messages are the first since then."""
        self._known.clear()
        self.learn(saved, now_us)


def _agreed(allowed: Sequence[Bounds]) -> Bounds:
    """Return what all of them allow, but those far from what most allow; where others contradict each other, from one to the other."""
    core, holders = _most_allowed(allowed)
    near = [bounds for bounds in allowed if bounds.gap_us(core) <= NEAR_US]
    if len(near) == holders:
        return core
    spared = len(near) // TRIM
    low_us = sorted((bounds.low_us for bounds in near), reverse=True)[spared]
    high_us = sorted(bounds.high_us for bounds in near)[spared]
    return Bounds(min(low_us, high_us), max(low_us, high_us)).wider(ROUNDED_US)


def _most_allowed(allowed: Sequence[Bounds]) -> tuple[Bounds, int]:
    """Return the offsets that the most of them allow, and how many those are."""
    ends = sorted([(bounds.low_us, 0) for bounds in allowed] + [(bounds.high_us, 1) for bounds in allowed])
    inside = most = begin = 0
    for n, (_, is_high) in enumerate(ends):
        inside += -1 if is_high else 1
        if inside > most:
            most, begin = inside, n
    return Bounds(ends[begin][0], ends[begin + 1][0]), most


def read_moment(value: Any) -> tuple[int, int] | None:
    """Return a moment as a server writes it, an ISO date or Unix time, in Unix µs, and the unit of its last digit in µs.

    None for anything else, for a date without seconds, and for one outside this century.
    """
    read = None
    if isinstance(value, str):
        read = _read_date(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e17:
        unit_us = 1_000_000 if value < 1e11 else 1_000 if value < 1e14 else 1  # seconds, milliseconds or microseconds
        read = round(value * unit_us), unit_us if value == int(value) else 1
    return read if read and _FROM_US <= read[0] < _TO_US else None


def _read_date(text: str) -> tuple[int, int] | None:
    parts = _WITH_SECONDS.fullmatch(text)
    if parts is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    digits = len(parts[1] or "")
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds, int(10 ** max(0, 6 - digits))
