"""Single happenings of an interval for events.jsonl: lost and refused replies, marks, notes, and the slowest replies. Bounded in count."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

__all__ = ["Happenings"]

MOST_EVENTS = 200
MOST_SLOW, MOST_SLOW_OF_A_RUN = 5, 100
_NOTHING_US = -(1 << 62)


class Happenings:
    """At most two hundred happenings an interval, a note that counts the others, and five slow replies.

    A slow reply is one of its interval's five slowest that also is among the hundred slowest of the run so far; so a calm run of a day
    leaves some hundred lines, and a slow one still leaves them all.
    """

    def __init__(self) -> None:
        self._slowest_of_run: list[int] = []
        self._offered = 0
        self._begin()

    def _begin(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._left_out = 0
        self._slow: list[tuple[int, int, Callable[[], dict[str, Any]]]] = []
        self.slow_above_us = _NOTHING_US
        """A response time up to here is none of this interval's slowest: it need not be offered."""

    def add(self, at_us: int, kind: str, fields: dict[str, Any]) -> None:
        """Keep one happening; `at_us` is Unix time."""
        if len(self._events) < MOST_EVENTS:
            self._events.append({"at_us": at_us, "kind": kind, **fields})
        else:
            self._left_out += 1

    def slow(self, value_us: int, facts: Callable[[], dict[str, Any]]) -> None:
        """Offer a reply with its response time; the facts are asked for at the cut."""
        if value_us <= self.slow_above_us:
            return
        self._offered += 1
        keep = heapq.heappush if len(self._slow) < MOST_SLOW else heapq.heappushpop
        keep(self._slow, (value_us, self._offered, facts))
        if len(self._slow) == MOST_SLOW:
            self.slow_above_us = self._slow[0][0]

    def cut(self, at_us: int) -> list[dict[str, Any]]:
        """Return the happenings since the last cut and begin anew."""
        events, most = self._events, self._slowest_of_run
        for value_us, _, facts in sorted(self._slow, reverse=True):
            if len(most) < MOST_SLOW_OF_A_RUN:
                heapq.heappush(most, value_us)
            elif value_us > most[0]:
                heapq.heapreplace(most, value_us)
            else:
                break
            events.append({"at_us": at_us, "kind": "slow", **facts()})
        if self._left_out:
            text = f"{self._left_out} further happenings of this interval are counted and not listed"
            events.append({"at_us": at_us, "kind": "note", "text": text})
        self._begin()
        return events
