"""Looking up, in the agents' message lists, the replies whose POSTs got no answer: was the message made, and under which id."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.pool import Pool

from loadkit import clock
from loadkit.measure.ledger import Ledger
from loadkit.measure.reply import Reply
from loadkit.swarm.desk import Desk

__all__ = ["Listing"]

AT_ONCE = 10
PAUSE = 0.05


class Listing:
    """Each reply is looked up once while a run lasts, and once more at its end, when a list that was unreadable may be read."""

    def __init__(self, ledger: Ledger, desk: Desk, on_failure: Callable[[gevent.Greenlet], None]) -> None:
        self._ledger, self._desk, self._on_failure = ledger, desk, on_failure
        self._pool = Pool(AT_ONCE)
        self._asked: set[str] = set()

    def look_up(self, before_us: int) -> None:
        """Begin to look up those given up before a moment, as many as may be under way at once; never blocks."""
        conversations: dict[int, list[Reply]] = {}
        for reply in self._ledger.unanswered_before(before_us):
            if reply.marker not in self._asked:
                conversations.setdefault(reply.conversation_id, []).append(reply)
        for conversation_id, replies in conversations.items():
            if self._pool.full():
                return
            self._asked |= {reply.marker for reply in replies}
            self._pool.spawn(self._desk.list_unanswered, conversation_id, replies).link_exception(self._on_failure)

    def last_look(self, seconds: float) -> None:
        """Look all of them up once more, for at most so long; what is not known then stays undetermined."""
        self._asked.clear()
        with gevent.Timeout(seconds, False):
            self.look_up(clock.now_us())
            while len(self._pool):
                gevent.sleep(PAUSE)
                self.look_up(clock.now_us())
        self._pool.kill(block=True, timeout=1)
