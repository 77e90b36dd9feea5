"""Time that costs none: greenlets that sleep on it are woken in order, one moment after the other, as soon as all of them wait."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import gevent
from gevent.event import Event

__all__ = ["VirtualTime"]


class VirtualTime:
    """A clock that stands still while anybody works; `now` and `sleep` are in seconds of it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, Event]] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        woken = Event()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), woken))
        woken.wait()

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until that is so; AssertionError where nobody sleeps any more and it still is not."""
        while not until():
            gevent.idle()
            if until():
                return
            assert self._sleepers, "everybody waits, nobody sleeps"
            self._now, _, woken = heapq.heappop(self._sleepers)
            woken.set()
