"""How far receive stamps are from the moments at which a server says that it wrote: exact percentiles, and clocks that differ.

An error is received − written in whole microseconds. It is negative where a frame seems to have come before it was written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["GRAIN_US", "Errors", "clock_offset_us"]

GRAIN_US = 100
"""Two readings of one clock in two processes agree within this: an error below −GRAIN_US is impossible on one clock."""

LEAST_OFFSET_US = 500
OFFSET_SPREADS = 10
"""A constant part of the error is the clocks' doing if it is above both: half a millisecond, and ten times the spread around it."""


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of one class of stamps in µs; None for what has no data. `impossible` counts those below −GRAIN_US."""

    count: int
    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    max: int | None
    impossible: int = 0

    @classmethod
    def of(cls, errors_us: Sequence[int]) -> Errors:
        """Return the nearest-rank percentiles of errors in any order."""
        errors = sorted(errors_us)
        p50, p90, p99, p99_9, most = (_percentile(errors, percent) for percent in ("50", "90", "99", "99.9", "100"))
        return cls(len(errors), p50, p90, p99, p99_9, most, sum(error < -GRAIN_US for error in errors))


def _percentile(ascending: Sequence[int], percent: str) -> int | None:
    if not ascending:
        return None
    return ascending[max(1, math.ceil(Fraction(percent) * len(ascending) / 100)) - 1]


def clock_offset_us(errors_us: Sequence[int]) -> int | None:
    """Return how far the truth's clock seems to be behind ours in µs (negative: ahead), None where nothing speaks of an offset.

    A frame cannot come before it was written, so errors that are mostly negative mean two clocks. So does a lower end that all errors
    share and that is far above their spread: queues, busy cores and networks spread what they delay.
    """
    errors = sorted(errors_us)
    floor, typical = _percentile(errors, "1"), _percentile(errors, "50")
    if floor is None or typical is None:
        return None
    if typical < -GRAIN_US:
        return typical
    return floor if floor > max(LEAST_OFFSET_US, OFFSET_SPREADS * (typical - floor)) else None
