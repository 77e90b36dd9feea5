"""Where a reply's time went on the server, without touching it: before it was saved, and after, by the `updated_at` that its frame carries.

That moment is the server's, so first its clock is set against ours: a message is saved after its POST was sent and before it is answered
or shown, whatever the clocks say, and the offset that all messages allow is narrow once one of them was quick on either side. What
remains open is told with every value. All stamps are monotonic microseconds; `sent`, `answered` and `received` are observed, the
moment of saving is inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loadkit import clock
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply

__all__ = ["Bounds", "Split", "Stages", "read_moment"]

HELD_US, MOST_HELD = 30_000_000, 2_000
"""How long, and how many, splits wait for the offset to become narrower before they are recorded."""

DRIFT = 20e-6
"""How fast two kept clocks may part: bounds of a minute ago are wider by 1.2 ms."""

SLACK_US = 1_000
"""Bounds that contradict each other by less, a millisecond that was rounded and not cut, say, mean the middle between them."""

MOST_MOVES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which offsets (µs) the server's clock less ours lies."""

    low_us: float
    high_us: float

    @property
    def best_us(self) -> float:
        """The offset to reckon with: none where the bounds allow it, because clocks are commonly kept by NTP, else the middle."""
        return 0.0 if self.low_us <= 0 <= self.high_us else (self.low_us + self.high_us) / 2

    def within(self, others: Bounds) -> Bounds | None:
        """Return what both allow, None where they contradict each other."""
        low_us, high_us = max(self.low_us, others.low_us), min(self.high_us, others.high_us)
        if low_us > high_us + SLACK_US:
            return None
        return Bounds(min(low_us, high_us), max(low_us, high_us))

    def after(self, elapsed_us: int) -> Bounds:
        """Return the bounds some time later."""
        drift_us = elapsed_us * DRIFT
        return Bounds(self.low_us - drift_us, self.high_us + drift_us)


@dataclass(frozen=True, slots=True)
class Split:
    """One reply's time from sent to received in µs: until it was saved, from then on, and how far that moment may be off."""

    before_us: float
    after_us: float
    uncertain_us: float


@dataclass(frozen=True, slots=True)
class _Saved:
    """A message that was saved between `sent_us` and `until_us` by our clock, and at `at_us` (to the grain) by the server's."""

    sent_us: int
    until_us: int
    at_us: int
    grain_us: int

    def allows(self) -> Bounds:
        return Bounds(self.at_us - self.until_us, self.at_us + self.grain_us - self.sent_us)

    def moment(self, offset: Bounds) -> tuple[float, float]:
        """Return when it was saved by our clock, and how far that may be off."""
        first = max(self.sent_us, self.at_us - offset.high_us)
        last = min(self.until_us, self.at_us + self.grain_us - offset.low_us)
        best = min(max(self.at_us + self.grain_us / 2 - offset.best_us, self.sent_us), self.until_us)
        return best, max(best - first, last - best, 0.0)


class Stages:
    """The splits of one process's replies. Give it every first frame, call `fold` once a second and `settle` at the end."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._anchor_us = clock.to_unix_us(0)  # one for the whole run: if our wall clock is set, differences stay as they were
        self._questions: list[tuple[Any, int, int]] = []
        self._replies: list[Reply] = []
        self._held: list[tuple[Reply, _Saved]] = []
        self._bounds: Bounds | None = None
        self._folded_us = 0
        self._moves = 0

    def question(self, saved: Any, sent_us: int, received_us: int) -> None:
        """Take a customer's own message, which binds the offset as well as a reply does."""
        self._questions.append((saved, sent_us, received_us))

    def reply(self, reply: Reply) -> None:
        """Take a reply whose frame has come; `reply.saved` is what it said of its saving."""
        self._replies.append(reply)

    def split(self, reply: Reply) -> Split | None:
        """Return where a reply's time went by what is known of the offset now; None where that cannot be told."""
        saved = self._saved_of(reply)
        bounds = self._bounds or (saved.allows() if saved else None)
        return None if saved is None or bounds is None else _split(reply, saved, bounds)

    def facts(self, reply: Reply) -> dict[str, Any]:
        """Return what a person wants to know of a slow reply: its own facts, and where its time went, in ms."""
        split = self.split(reply)
        parts = {"before_save_ms": split.before_us, "after_save_ms": split.after_us, "uncertain_ms": split.uncertain_us} if split else {}
        return reply.facts() | {name: round(us / 1000, 3) for name, us in parts.items()}

    def fold(self, now_us: int) -> None:
        """Let what came since the last time narrow the offset; record the splits that have waited long enough for it."""
        replies, self._replies = self._replies, []
        questions, self._questions = self._questions, []
        fresh = [(reply, saved) for reply in replies if (saved := self._saved_of(reply))]
        others = [saved for question in questions if (saved := self._read(*question))]
        new = _common([*others, *(saved for _, saved in fresh)])
        if new is None and (fresh or others):
            self._note("the server's moments of saving contradict each other within a second: it has more than one clock, or set it")
            fresh = []
        elif new is not None:
            self._narrow(new, now_us)
        self._held += fresh
        if self._held and (len(self._held) >= MOST_HELD or now_us - (self._held[0][0].received_us or 0) >= HELD_US):
            self.settle()

    def settle(self) -> None:
        """Record the splits that wait."""
        held, self._held = self._held, []
        if self._bounds is None:
            return
        latency = self._recorder.latency
        for reply, saved in held:
            split = _split(reply, saved, self._bounds)
            latency("reply.before_save", round(split.before_us))
            latency("reply.after_save", round(split.after_us))
            latency("clock.uncertainty", round(split.uncertain_us))

    def _narrow(self, new: Bounds, now_us: int) -> None:
        """Let new bounds narrow the old ones; where they contradict them the clock has moved, and the new ones count alone."""
        old = self._bounds.after(now_us - self._folded_us) if self._bounds else new
        both = old.within(new)
        if both is None:
            self.settle()
            moved_ms, sure_ms = (new.best_us - old.best_us) / 1000, (new.high_us - new.low_us + old.high_us - old.low_us) / 2000
            self._note(f"the server's clock and the generator's moved apart by {moved_ms:+,.0f} ms (± {sure_ms:,.0f} ms)")
        self._bounds, self._folded_us = both or new, now_us
        self._recorder.gauge("clock.offset", self._bounds.best_us / 1000)

    def _note(self, text: str) -> None:
        self._moves += 1
        if self._moves <= MOST_MOVES_TOLD:
            self._recorder.event("note", text=text)

    def _saved_of(self, reply: Reply) -> _Saved | None:
        if reply.sent_us is None or reply.received_us is None:
            return None
        until_us = min(reply.received_us, reply.answered_us or reply.received_us)
        return self._read(reply.saved, reply.sent_us, until_us)

    def _read(self, saved: Any, sent_us: int, until_us: int) -> _Saved | None:
        moment = read_moment(saved)
        return None if moment is None or until_us < sent_us else _Saved(sent_us, until_us, moment[0] - self._anchor_us, moment[1])


def _common(saved: Sequence[_Saved]) -> Bounds | None:
    """Return the offset that all messages allow; None where there is no message, or none that all allow."""
    bounds: Bounds | None = None
    for one in saved:
        bounds = one.allows() if bounds is None else bounds.within(one.allows())
        if bounds is None:
            return None
    return bounds


def _split(reply: Reply, saved: _Saved, offset: Bounds) -> Split:
    moment_us, uncertain_us = saved.moment(offset)
    return Split(moment_us - saved.sent_us, (reply.received_us or 0) - moment_us, uncertain_us)


def read_moment(value: Any) -> tuple[int, int] | None:
    """Return a moment as a server writes it, an ISO date or Unix seconds, in Unix µs, and its grain in µs; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        if not isinstance(value, str):
            return round(value * 1e6), 1 if isinstance(value, float) else 1_000_000
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds, _grain_us(value)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _grain_us(text: str) -> int:
    """Return the unit of a date's last digit in µs: a millisecond for 12:59:53.412Z."""
    digits = 0
    for sign in text.partition(".")[2]:
        if not sign.isdigit():
            break
        digits += 1
    return int(10 ** max(0, 6 - digits))
