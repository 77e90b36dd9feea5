"""Log-linear buckets with HDR's layout: 1 µs to 1 h at three significant digits, and how the stamps behind them were taken.

Only the touched buckets are held, so an interval is small and merging is adding a few numbers. Encoding to HDR's own format is `hdr.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

__all__ = ["BUCKETS", "HIGHEST_US", "QUALITIES", "Histogram", "bucket_of", "highest_in"]

HIGHEST_US = 3_600_000_000
BUCKETS = 23_552
QUALITIES = ("exact", "bounded", "user_space")


def bucket_of(value_us: int) -> int:
    """Return the bucket of a value within 0..HIGHEST_US: below 2048 the value itself, then 1024 buckets an octave."""
    if value_us < 2048:
        return value_us
    shift = value_us.bit_length() - 11
    return (shift << 10) + (value_us >> shift)


def highest_in(bucket: int) -> int:
    """Return the highest value (µs) that falls into the bucket."""
    if bucket < 2048:
        return bucket
    return (((bucket & 1023) + 1025) << ((bucket >> 10) - 1)) - 1


def _rank(percent: float, count: int) -> int:
    """Return the nearest rank, 1..count, reckoned exactly: in floats 99.9 % of ten million is off by one. Raises ValueError."""
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent!r} is no percentile: they go from 0 to 100")
    return max(1, math.ceil(Fraction(str(percent)) * count / 100))


class Histogram(msgspec.Struct):
    """Counts by bucket, the exact sum, what fell outside, and how many samples had which quality of stamp.

    `over` counts values below 0 or above one hour: they are in no bucket, no percentile and no quality, and never silently dropped.
    """

    counts: dict[int, int] = msgspec.field(default_factory=dict)
    count: int = 0
    sum_us: int = 0
    over: int = 0
    exact: int = 0
    bounded: int = 0
    user_space: int = 0

    def record(self, value_us: int, quality: str | None = None) -> None:
        """Add one value in microseconds, and the quality of its receive stamp where it has one. Raises ValueError for another quality."""
        self.record_all((value_us,), quality)

    def record_all(self, values_us: Sequence[int], quality: str | None = None) -> None:
        """Add values of one quality at a time: only finding the bucket is paid for each."""
        if not values_us:
            return
        inside = values_us
        if min(values_us) < 0 or max(values_us) > HIGHEST_US:
            inside = [value for value in values_us if 0 <= value <= HIGHEST_US]
            self.over += len(values_us) - len(inside)
        buckets = [value if value < 2048 else ((shift := value.bit_length() - 11) << 10) + (value >> shift) for value in inside]
        counts = self.counts
        for bucket, n in Counter(buckets).items():
            counts[bucket] = counts.get(bucket, 0) + n
        self.count += len(inside)
        self.sum_us += sum(inside)
        if quality in QUALITIES:
            setattr(self, quality, getattr(self, quality) + len(inside))
        elif quality is not None:
            raise ValueError(f"{quality!r} is no quality of a stamp: there are {', '.join(QUALITIES)}")

    def add(self, other: Histogram) -> None:
        """Merge another histogram into this one; exact, in any order."""
        counts = self.counts
        for bucket, n in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + n
        self.count += other.count
        self.sum_us += other.sum_us
        self.over += other.over
        self.exact += other.exact
        self.bounded += other.bounded
        self.user_space += other.user_space

    @property
    def mean_us(self) -> float | None:
        """The exact mean in µs, None without values."""
        return self.sum_us / self.count if self.count else None

    @property
    def max_us(self) -> int | None:
        """The highest value of the topmost bucket in µs, None without values."""
        return highest_in(max(self.counts)) if self.counts else None

    @property
    def min_us(self) -> int | None:
        """The highest value of the lowest bucket in µs, None without values."""
        return highest_in(min(self.counts)) if self.counts else None

    def percentile(self, percent: float) -> int | None:
        """Return the nearest-rank percentile (0..100) in µs at its bucket's highest value; None without values."""
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Iterable[float]) -> list[int | None]:
        """Return several percentiles with one pass over the buckets."""
        wanted = list(percents)
        found: list[int | None] = [None] * len(wanted)
        if not self.count:
            return found
        ranks = sorted((_rank(percent, self.count), i) for i, percent in enumerate(wanted))
        seen = at = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            while at < len(ranks) and seen >= ranks[at][0]:
                found[ranks[at][1]] = highest_in(bucket)
                at += 1
            if at == len(ranks):
                break
        return found

    def over_share(self, limit_us: int) -> float | None:
        """Return the share of values in buckets wholly above a limit in µs; None without values."""
        if not self.count:
            return None
        top = bucket_of(min(max(limit_us, 0), HIGHEST_US))
        return sum(n for bucket, n in self.counts.items() if bucket > top) / self.count
