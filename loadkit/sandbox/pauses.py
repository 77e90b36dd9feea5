"""Pauses that are right in sum: a timer wakes up to a millisecond late, and what one pause overslept the next ones take off.

Without it a POST of 20 ms would take 21, and a queue of known service times would not be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gevent

from loadkit import clock

__all__ = ["Pauses"]

_T = TypeVar("_T")

MOST_OWED_S = 0.02  # what a machine that stood still for longer has lost is lost: no burst of work that takes no time follows


class Pauses:
    """The pauses of one queue, in seconds of `now`; `sleep` and `now` belong together."""

    def __init__(self, sleep: Callable[[float], object] = gevent.sleep, now: Callable[[], float] = clock.now) -> None:
        self._sleep = sleep
        self._now = now
        self._owed = 0.0

    def take(self, seconds: float) -> None:
        """Pause for that long, less what is owed."""
        wanted, self._owed = seconds - self._owed, 0.0
        if wanted <= 0:
            self._owed = -wanted
            return
        began = self._now()
        self._sleep(wanted)
        self._owe(self._now() - began - wanted)

    def during(self, action: Callable[[], _T]) -> _T:
        """Return the action's result; the time that it really takes is part of the pauses after it."""
        began = self._now()
        try:
            return action()
        finally:
            self._owe(self._now() - began)

    def _owe(self, seconds: float) -> None:
        self._owed = min(self._owed + seconds, MOST_OWED_S)
