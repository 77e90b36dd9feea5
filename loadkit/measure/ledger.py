"""Expected replies, their ends and their marks. Every attempted reply comes to exactly one end, and the sums hold at every moment.

    attempted = accepted + refused          accepted = on_time + late + recovered + lost + undetermined

Ends are provisional while a run lasts: a frame that still comes makes a lost reply late, a refetch makes it recovered, and the counters
are corrected. Where each reply's time went is subtracted here, once. All stamps are monotonic microseconds.

Longer than other modules, because ends, marks and copies change the same counters for the same reply, and only together do they add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any

from loadkit.measure.histogram import QUALITIES
from loadkit.measure.metrics import ENDS
from loadkit.measure.pending import Pending
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.measure.stages import Stages

__all__ = ["Ledger"]

_SILENT = ("unanswered", "unreachable")
_REGRETTED = ("lost", "undetermined")
_COUNTERS = {end: f"reply.{end}" for end in ENDS}


class Ledger:
    """The replies of one process.

    `deadline_us` parts on_time from late, counted from due; `lost_after_us` parts pending from lost, counted from due and never less
    from sent. For as long again after its frame (or its refusal) a reply's further copies are told from strays; then it is retired, and
    only replies without a frame are held to the end of the run.
    """

    def __init__(self, recorder: Recorder, *, deadline_us: int, lost_after_us: int, log: bool = False) -> None:
        self._recorder = recorder
        self.deadline_us = deadline_us
        self.lost_after_us = lost_after_us
        self._log = log
        self._replies: dict[str, Reply] = {}
        self._by_message: dict[int, Reply] = {}
        self._order: deque[Reply] = deque()
        self._kept: dict[str, Reply] = {}
        self._unsettled = Pending()
        self._given_up: dict[str, Reply] = {}
        self._newest: dict[tuple[str, int], int] = {}
        self.expected: Callable[[str], Reply | None] = self._replies.get
        """Returns the reply with this marker whose frame or copies may come, None where there is none."""
        self.last_seen_us = 0
        self.stages = Stages(recorder, log=log)
        self._into = {
            quality: tuple(recorder.into(name, quality) for name in ("reply.response", "reply.delivery", "answer.wait"))
            for quality in QUALITIES
        }

    def attempt(self, reply: Reply) -> None:
        """Begin to expect a reply: called the line before its first byte leaves (or when none could)."""
        self._recorder.count("reply.attempted")
        self._replies[reply.marker] = reply
        self._unsettled.add(reply)
        self._order.append(reply)
        if reply.sent_us is not None:
            self._recorder.latency("reply.lag", reply.sent_us - reply.due_us)

    def unsendable(self, reply: Reply, kind: str = "unreachable") -> None:
        """Note that no byte of an attempted reply could be sent."""
        reply.refusal = kind
        self._judge(reply)

    def answered(
        self,
        reply: Reply,
        at_us: int,
        *,
        status: int,
        message_id: int | None = None,
        request_id: str = "",
        refusal: str = "",
    ) -> None:
        """Note the POST's answer. A 2xx without a readable message id counts as no answer: the agent's list will tell."""
        reply.answered_us = at_us
        reply.status = status
        reply.request_id = request_id
        if reply.sent_us is not None:
            self._recorder.latency("reply.post", at_us - reply.sent_us)
        if refusal:
            reply.refusal = refusal
            if reply.received_us is not None:
                self._mark(reply, "unasked")
        elif message_id is None:
            self._give_up(reply, at_us)
        else:
            self._learn_id(reply, message_id)
        self._offer(reply)
        self._judge(reply)

    def unanswered(self, reply: Reply, at_us: int) -> None:
        """Note that the POST left and got no answer; the end waits for the frame or for the agent's message list."""
        reply.answered_us = None
        self._give_up(reply, at_us)
        self._offer(reply)
        self._judge(reply)

    def _give_up(self, reply: Reply, at_us: int) -> None:
        reply.unanswered, reply.given_up_us = True, at_us
        if reply.message_id is None:
            self._given_up[reply.marker] = reply

    def unanswered_before(self, before_us: int) -> list[Reply]:
        """Return the replies whose POSTs were given up before a moment and of which no message id is known."""
        return [reply for reply in self._given_up.values() if (reply.given_up_us or 0) <= before_us]

    def listed(self, reply: Reply, message_id: int | None, *, readable: bool = True) -> None:
        """Note what the agent's message list said of an unanswered reply: its message id, that it lacks it, or that it cannot be read.

        A later look may put an earlier one right; a message that was once there stays accepted.
        """
        if message_id is not None:
            self._learn_id(reply, message_id)
        if reply.message_id is None:
            reply.undecided = not readable
            reply.refusal = "unanswered" if readable else ""
        elif reply.refusal in ("", "unanswered"):
            reply.undecided, reply.refusal = False, ""
        self._judge(reply)

    def seen(self, marker: str, subscription: str, message_id: int, received_us: int, quality: str, saved: Any = None) -> Reply | None:
        """Note a `message.created` frame with one of our replies' markers; return the reply, None if it is not (any more) expected.

        `saved` is what the frame says of when the message was saved.

        The reply is returned whatever the cable: its own, a further session's, or another contact's (`misrouted`).
        """
        if received_us > self.last_seen_us:
            self.last_seen_us = received_us
        reply = self._replies.get(marker)
        if reply is None or reply.received_us is not None or subscription != reply.subscription:
            return self._seen_besides(reply, subscription, message_id)
        reply.saved = saved
        self._deliver(reply, message_id, received_us, quality)
        return reply

    def _seen_besides(self, reply: Reply | None, subscription: str, message_id: int) -> Reply | None:
        """Take a frame that is no first one on the customer's own cable."""
        if reply is None:
            self._recorder.count("reply.stray")
        elif subscription != reply.subscription and subscription not in reply.also:
            self._mark(reply, "misrouted")
        elif reply.message_id not in (None, message_id):  # a second message with the marker, as a proxy that repeats a POST makes it
            self._recorder.count("reply.stray")
            return None
        elif subscription == reply.subscription:
            self._mark(reply, "duplicate")
        else:
            self._copy(reply, subscription, message_id)
        return reply

    def _deliver(self, reply: Reply, message_id: int, received_us: int, quality: str) -> None:
        """Take the first frame on the customer's own cable."""
        if self.newest(reply.subscription, reply.conversation_id, message_id):
            self._mark(reply, "out_of_order")
        if reply.message_id is None:
            self._learn_id(reply, message_id)
        reply.received_us, reply.quality = received_us, quality
        response, delivery, wait = self._into[quality]
        response_us = received_us - reply.due_us
        response(response_us)
        if reply.sent_us is not None:
            delivery(received_us - reply.sent_us)
            self.stages.reply(reply)
        if reply.asked_us is not None:
            wait(received_us - reply.asked_us)
        if reply.refusal and reply.refusal not in _SILENT:
            self._mark(reply, "unasked")
        self._offer(reply)
        self._reach(reply, "on_time" if response_us <= self.deadline_us else "late")

    def _offer(self, reply: Reply) -> None:
        """Offer a reply for the slowest ones when frame and answer are both there: its request id finds it in a server's log."""
        if reply.received_us is not None and reply.posted:
            response_us = reply.received_us - reply.due_us
            if response_us > self._recorder.happenings.slow_above_us:
                self._recorder.slow(response_us, partial(self.stages.facts, reply))

    def shown_to_agent(self, marker: str, received_us: int, quality: str) -> None:
        """Note a reply's frame on an agent's cable; its first one is timed."""
        reply = self._replies.get(marker)
        if reply is not None and reply.sent_us is not None and reply.agent_copy_us is None:
            reply.agent_copy_us = received_us
            self._recorder.latency("reply.agent_copy", received_us - reply.sent_us, quality)

    def _copy(self, reply: Reply, subscription: str, message_id: int) -> None:
        """Take a frame on another verified subscription of the same contact; it shows that the server took the reply."""
        if reply.message_id is None:
            self.listed(reply, message_id)
        if subscription in reply.copies:
            self._mark(reply, "duplicate")
        reply.copies |= {subscription}
        self._count_copies(reply)
        self._reach(reply, reply.end)

    def _count_copies(self, reply: Reply) -> None:
        """Bring the counters of owed and seen copies up to date: an accepted reply owes them, an undetermined one does not."""
        owes = reply.end not in (None, "refused", "undetermined")
        counted = (len(reply.also), len(reply.copies)) if owes else (0, 0)
        if counted != reply.copies_counted:
            self._recorder.count("copies.owed", counted[0] - reply.copies_counted[0])
            self._recorder.count("copies.seen", counted[1] - reply.copies_counted[1])
            reply.copies_counted = counted

    def newest(self, subscription: str, conversation_id: int, message_id: int) -> bool:
        """Note that a message was seen on a subscription; return whether one with a higher id had been seen there before."""
        key = (subscription, conversation_id)
        before = self._newest.get(key, 0)
        if message_id > before:
            self._newest[key] = message_id
        return message_id < before

    def misrouted(self, marker: str) -> None:
        """Note that another process saw a reply of ours on a cable of its own."""
        reply = self._replies.get(marker)
        if reply is None:
            self._recorder.count("reply.stray")
        else:
            self._mark(reply, "misrouted")

    def refetched(self, subscription: str, message_ids: Iterable[int], *, open_since_us: int | None = None) -> list[Reply]:
        """Note the message ids that an answer of the Client API held for a customer; return the replies that it showed for the first time.

        `open_since_us` is since when the customer's cable has been confirmed: a reply sent later than that may still come by cable, and
        the drain goes on waiting for it.
        """
        ids, shown = set(message_ids), []
        for message_id in ids & self._by_message.keys():
            reply = self._by_message[message_id]
            if reply.subscription == subscription and reply.received_us is None:
                if not reply.refetched:
                    shown.append(reply)
                reply.refetched = True
                reply.awaited = open_since_us is not None and (reply.sent_us or 0) > open_since_us
                self._judge(reply)
        for reply in chain(self._unsettled, self._given_up.values()):
            if reply.message_id is None and reply.subscription == subscription:
                reply.refetched_ids = (reply.refetched_ids or set()) | ids
                reply.awaited = open_since_us is not None and (reply.sent_us or 0) > open_since_us
        return shown

    def forget(self, subscription: str, conversation_ids: Iterable[int]) -> None:
        """Drop what was kept for telling the order of a customer's conversations; the customer is gone."""
        for conversation_id in conversation_ids:
            self._newest.pop((subscription, conversation_id), None)

    def _learn_id(self, reply: Reply, message_id: int) -> None:
        if reply.message_id is None:
            reply.message_id = message_id
            self._given_up.pop(reply.marker, None)
            self._by_message[message_id] = reply
            if reply.refetched_ids and message_id in reply.refetched_ids:
                reply.refetched = True
        reply.refetched_ids = None

    def _mark(self, reply: Reply, mark: str) -> None:
        if mark not in reply.marks:
            reply.marks += (mark,)
            self._recorder.count(f"reply.{mark}")
            if mark != "duplicate":
                self._recorder.event(mark, **reply.facts())

    def _judge(self, reply: Reply, now_us: int | None = None) -> None:
        """Bring a reply's end up to date and correct the counters by the difference."""
        self._reach(reply, self._end_of(reply, now_us), now_us)

    def _reach(self, reply: Reply, end: str | None, now_us: int | None = None) -> None:
        if end is None or (reply.awaits_more(end) and not self._is_overdue(reply, now_us)):
            self._unsettled.add(reply)
        else:
            self._unsettled.discard(reply)
        if end != reply.end:
            self._change(reply, end)
        if self._kept and reply.marker in self._kept and self._may_retire(reply):
            self._order.append(self._kept.pop(reply.marker))

    def _is_overdue(self, reply: Reply, now_us: int | None) -> bool:
        return now_us is not None and reply.sent_us is not None and now_us >= reply.lost_from_us + self.lost_after_us

    def _change(self, reply: Reply, end: str | None) -> None:
        """Replace a reply's end by another one, in the counters and among the happenings."""
        count, event, before = self._recorder.count, self._recorder.event, reply.end
        if before is not None:
            count(_COUNTERS[before], -1)
        if before == "lost":
            event("found", end=end, **reply.facts())
        elif before == "refused":
            count(f"reply.refused.{reply.refused_as}", -1)
        reply.end = end
        if end is not None:
            count(_COUNTERS[end])
        unread = end == "undetermined" and reply.message_id is None
        if unread != reply.unread:
            count("reply.unread", 1 if unread else -1)
            reply.unread = unread
        if end == "refused":
            reply.refused_as = reply.refusal
            count(f"reply.refused.{reply.refused_as}")
            event("refused", reason=reply.refusal, **reply.facts())
        elif end in _REGRETTED:
            event(end, **reply.facts())
        if reply.also:
            self._count_copies(reply)

    def _end_of(self, reply: Reply, now_us: int | None) -> str | None:
        if reply.received_us is not None:
            return "on_time" if reply.received_us - reply.due_us <= self.deadline_us else "late"
        if reply.refusal:
            return "refused"
        if reply.refetched:
            return "recovered"
        if reply.undecided:
            return "undetermined"
        accepted = reply.message_id is not None
        if not accepted or now_us is None or reply.sent_us is None:
            return "lost" if reply.end == "lost" else None
        return "lost" if now_us >= reply.lost_from_us + self.lost_after_us else None

    def tick(self, now_us: int) -> None:
        """Declare lost what is overdue, and retire what can have no more copies; call it about once a second."""
        self.stages.fold(now_us)
        horizon = now_us - self.lost_after_us
        for reply in [r for r in self._unsettled if r.sent_us is not None and r.lost_from_us <= horizon]:
            self._judge(reply, now_us)
        while self._order and self._copies_until(self._order[0]) <= horizon:
            reply = self._order.popleft()
            if self._may_retire(reply):
                self._retire(reply)
            else:
                self._kept[reply.marker] = reply  # its frame is awaited to the end of the run, or its answer is still to come

    @staticmethod
    def _may_retire(reply: Reply) -> bool:
        """Whether nothing but copies can still come: a refusal that only the message list told may yet be put right."""
        told = reply.end == "refused" and reply.refusal != "unanswered"
        return reply.posted and (told or reply.received_us is not None)

    @staticmethod
    def _copies_until(reply: Reply) -> int:
        """Return the stamp from which further copies are awaited, as long as a reply may be lost."""
        return reply.received_us or reply.answered_us or reply.given_up_us or reply.sent_us or reply.due_us

    def _retire(self, reply: Reply) -> None:
        self._replies.pop(reply.marker, None)
        self._given_up.pop(reply.marker, None)
        if reply.message_id is not None:
            self._by_message.pop(reply.message_id, None)
        if reply.copies_counted[0] > reply.copies_counted[1]:
            self._recorder.event("copy_missing", sessions=[one for one in reply.also if one not in reply.copies], **reply.facts())
        if self._log:
            self._recorder.delivery(reply.line())

    def pending_of(self, subscription: str) -> int:
        """Return for how many replies of one customer the drain waits."""
        return self._unsettled.of(subscription)

    @property
    def pending_count(self) -> int:
        """For how many replies the drain waits: without an end yet, or more of them may come; for a copy no longer than for its reply."""
        return len(self._unsettled)

    def close(self, now_us: int) -> None:
        """End the run: what has no end and is too young to be lost becomes undetermined, and every line is written."""
        self.stages.finish(now_us)
        for reply in list(self._unsettled):
            self._judge(reply, now_us)
            if reply.end is None:
                reply.undecided = True
                self._judge(reply)
        for reply in sorted((*self._kept.values(), *self._order), key=lambda reply: reply.due_us):
            self._retire(reply)
        self._unsettled.clear()
        self._given_up.clear()
        self._kept.clear()
        self._order.clear()
