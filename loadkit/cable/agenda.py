"""When which link's machine must be looked at: one heap for all links, so that thousands of quiet ones cost nothing a tick."""

from __future__ import annotations

from heapq import heappop, heappush

from loadkit.cable.link import Link

__all__ = ["Agenda"]


class Agenda:
    """Links by the time at which something may be due.

    What a link hears only moves its time back; it keeps its place and is put right when it comes up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Link]] = []
        self._serial = 0

    def put(self, link: Link) -> None:
        """Enter a link, or enter it earlier than it is."""
        due = link.machine.due_us
        if not link.closed and (link.due_us is None or due < link.due_us):
            link.due_us = due
            self._serial += 1
            heappush(self._heap, (due, self._serial, link))

    def is_due(self, now_us: int) -> bool:
        """Return whether `take` may have something."""
        return bool(self._heap) and self._heap[0][0] <= now_us

    def take(self, now_us: int) -> list[Link]:
        """Return the links whose time has come, and strike them out."""
        due = []
        while self.is_due(now_us):
            at, _, link = heappop(self._heap)
            if at == link.due_us and not link.closed:
                link.due_us = None
                due.append(link)
        return due
