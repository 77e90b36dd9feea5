"""The only module that reads a clock.

Every stamp inside a process is an integer of microseconds on one monotonic clock, so differences never see a clock step. Unix time is
derived from it on demand, with an anchor taken at that moment: a correction of the wall clock during a long run moves the written
dates, never a latency.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["CLOCK", "cpu_s", "from_unix_ns", "now", "now_us", "to_unix_us", "unix_us", "utc"]

CLOCK = "CLOCK_MONOTONIC"

_monotonic_ns = time.monotonic_ns
_time_ns = time.time_ns
_UNDISTURBED_NS = 20_000


def now() -> float:
    """Return monotonic seconds."""
    return time.monotonic()


def now_us() -> int:
    """Return monotonic microseconds: the stamp of everything that is measured."""
    return _monotonic_ns() // 1000


def unix_us() -> int:
    """Return Unix time in microseconds."""
    return _time_ns() // 1000


def to_unix_us(stamp_us: int) -> int:
    """Return the Unix microseconds of a monotonic stamp, by today's offset between the two clocks."""
    return stamp_us + _offset_ns() // 1000


def from_unix_ns(stamp_ns: int) -> int:
    """Return the monotonic microseconds of a `CLOCK_REALTIME` stamp in nanoseconds, e.g. the kernel's receive stamp."""
    return (stamp_ns - _offset_ns()) // 1000


def _offset_ns() -> int:
    """Return Unix less monotonic time; a look that was interrupted between its readings is taken again, at most twice."""
    best, offset = 1 << 62, 0
    for _ in range(3):
        before, wall, after = _monotonic_ns(), _time_ns(), _monotonic_ns()
        if after - before < best:
            best, offset = after - before, wall - (before + after) // 2
        if best < _UNDISTURBED_NS:
            break
    return offset


def cpu_s() -> float:
    """Return the CPU seconds, user and system, that this process has used."""
    return time.process_time()


def utc() -> datetime:
    """Return the present moment, with its zone."""
    return datetime.now(UTC)
