"""Where a reply's time went on the server, without touching it: before it was saved, and after, by the `updated_at` that its frame carries.

`sent`, `answered` and `received` are observed; the moment of saving is inferred, because it is told by the server's clock. All stamps are
monotonic microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadkit import clock
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.measure.server_clock import IN_A_ROW, Bounds, Saved, ServerClock, read_moment

__all__ = ["STAGE_COLUMNS", "Split", "Stages"]

STAGE_COLUMNS = "marker,sent,saved,received,agent_copy,uncertainty"

FOLD_US = 1_000_000
HELD_US, MOST_HELD = 30_000_000, 500
"""How long, and how many, replies wait for the offset to become narrower before their stages are recorded."""

MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Split:
    """One reply's time from sent to received in µs: until it was saved, from then on, and how far that moment may be off."""

    before_us: float
    after_us: float
    uncertain_us: float


class Stages:
    """The stages of one process's replies. Give it every first frame, call `fold` about once a second and `finish` at the end.

    `log` keeps a line of stages.csv for every reply.
    """

    def __init__(self, recorder: Recorder, *, log: bool = False) -> None:
        self._recorder, self._log = recorder, log
        self._anchor_us = clock.to_unix_us(0)  # one for the whole run: if our wall clock is set, differences stay as they were
        self._clock = ServerClock()
        self._new: list[tuple[Reply | None, Any, int, int]] = []
        self._held: list[tuple[Reply, Saved]] = []
        self._doubtful: list[tuple[Reply | None, Saved]] = []
        self._folded_us = 0
        self._notes = 0

    def question(self, saved: Any, sent_us: int, received_us: int) -> None:
        """Take a customer's own message, which binds the offset as well as a reply does."""
        self._new.append((None, saved, sent_us, received_us))

    def reply(self, reply: Reply) -> None:
        """Take a reply that was sent and whose frame has come; `reply.saved` is what it said of its saving."""
        self._new.append((reply, reply.saved, reply.sent_us or 0, reply.received_us or 0))

    def split(self, reply: Reply) -> Split | None:
        """Return where a reply's time went by what is known of the offset now; None where that cannot be told."""
        saved = self._saved(reply, reply.saved, reply.sent_us, reply.received_us)
        return _split(reply, saved, self._clock.bounds or saved.allows()) if saved else None

    def facts(self, reply: Reply) -> dict[str, Any]:
        """Return what a person wants to know of a slow reply: its own facts, and where its time went, in ms."""
        split = self.split(reply)
        parts = {"before_save_ms": split.before_us, "after_save_ms": split.after_us, "uncertain_ms": split.uncertain_us} if split else {}
        return reply.facts() | {name: round(us / 1000, 3) for name, us in parts.items()}

    def fold(self, now_us: int) -> None:
        """Let what came narrow the offset, once a second at most; record the replies that have waited long enough for it."""
        if now_us - self._folded_us >= FOLD_US:
            self._folded_us = now_us
            self._fold(now_us)
        if self._held and (len(self._held) >= MOST_HELD or now_us - (self._held[0][0].received_us or 0) >= HELD_US):
            self._settle()

    def finish(self, now_us: int) -> None:
        """Record every reply that still waits."""
        self._fold(now_us)
        self._settle()
        self._give_up_doubtful()

    def _fold(self, now_us: int) -> None:
        new, self._new = self._new, []
        agreeing: list[Saved] = []
        for reply, *told in new:
            saved = self._saved(reply, *told)
            if saved is None:
                continue
            if self._clock.contradicts(saved):
                self._doubt(reply, saved, now_us)
                continue
            self._give_up_doubtful()
            agreeing.append(saved)
            if reply is not None:
                self._held.append((reply, saved))
        self._clock.learn(agreeing, now_us)

    def _doubt(self, reply: Reply | None, saved: Saved, now_us: int) -> None:
        """Keep a message that contradicts all before it, until it turns out whether it is odd or the clock was set."""
        self._doubtful.append((reply, saved))
        if len(self._doubtful) < IN_A_ROW:
            return
        before = self._clock.bounds
        self._settle()
        self._clock.restart([saved for _, saved in self._doubtful], now_us)
        self._held = [(reply, saved) for reply, saved in self._doubtful if reply is not None]
        self._doubtful.clear()
        if before and self._clock.bounds:
            self._note(before, self._clock.bounds)

    def _give_up_doubtful(self) -> None:
        """Leave odd messages out: others that came after them agree with those before."""
        if self._doubtful:
            self._recorder.count("clock.contradicted", sum(reply is not None for reply, _ in self._doubtful))
            self._doubtful.clear()

    def _settle(self) -> None:
        """Record the replies that wait."""
        held, self._held = self._held, []
        bounds = self._clock.bounds
        if bounds is None or not held:
            return
        self._recorder.gauge("clock.offset", bounds.best_us / 1000)
        for reply, saved in held:
            split = _split(reply, saved, bounds)
            if split is None:
                self._recorder.count("clock.contradicted")
            else:
                self._record(reply, split)

    def _record(self, reply: Reply, split: Split) -> None:
        latency, sent_us = self._recorder.latency, reply.sent_us or 0
        latency("reply.before_save", round(split.before_us))
        latency("reply.after_save", round(split.after_us))
        latency("clock.uncertainty", round(split.uncertain_us))
        if self._log:
            unix_us = clock.to_unix_us(0)
            stamps = (sent_us, round(sent_us + split.before_us), reply.received_us, reply.agent_copy_us)
            told = ("" if us is None else str(us + unix_us) for us in stamps)
            self._recorder.stages(",".join((reply.marker, *told, str(round(split.uncertain_us)))))

    def _note(self, before: Bounds, after: Bounds) -> None:
        self._notes += 1
        if self._notes <= MOST_NOTES:
            moved_ms = (after.best_us - before.best_us) / 1000
            sure_ms = (before.high_us - before.low_us + after.high_us - after.low_us) / 2000
            text = f"the server's clock and the generator's moved apart by {moved_ms:+,.0f} ms (± {sure_ms:,.0f} ms)"
            self._recorder.event("note", text=text)

    def _saved(self, reply: Reply | None, moment: Any, sent_us: int | None, received_us: int | None) -> Saved | None:
        """Return a message as one that binds the offset; None where it does not tell when it was saved."""
        read = read_moment(moment)
        if read is None or sent_us is None or received_us is None:
            return None
        until_us = received_us
        if reply is not None and reply.answered_us is not None and not reply.refusal:  # who refuses may do so before the server is done
            until_us = min(until_us, reply.answered_us)
        return Saved(sent_us, until_us, read[0] - self._anchor_us, read[1]) if until_us >= sent_us else None


def _split(reply: Reply, saved: Saved, offset: Bounds) -> Split | None:
    moment = saved.moment(offset)
    if moment is None:
        return None
    return Split(moment.at_us - saved.sent_us, (reply.received_us or 0) - moment.at_us, moment.uncertain_us)
