"""Single stories of replies, each with the end and the marks that the definitions give it."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from loadkit.measure.ledger import Ledger
from loadkit.measure.metrics import ENDS, MARKS
from loadkit.measure.recorder import Recorder, Totals
from loadkit.measure.reply import Reply

S = 1_000_000
DUE = 1000 * S


class Story:
    """A ledger with a deadline of 5 s and lost after 30 s, and what its recorder told so far."""

    def __init__(self, *, log: bool = False) -> None:
        self.recorder = Recorder()
        self.ledger = Ledger(self.recorder, deadline_us=5 * S, lost_after_us=30 * S, log=log)
        self.totals = Totals()
        self.events: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def attempt(self, marker: str = "m1", *, due: int = DUE, sent: int | None = DUE, **more: Any) -> Reply:
        reply = Reply(marker, conversation_id=7, subscription="ann", agent=1, worker=0, due_us=due, sent_us=sent, **more)
        self.ledger.attempt(reply)
        return reply

    def accept(self, reply: Reply, message_id: int = 1, at: int = DUE + 1) -> None:
        self.ledger.answered(reply, at, status=200, message_id=message_id)

    def frame(self, marker: str = "m1", message_id: int = 1, at: int = DUE + S, cable: str = "ann") -> Reply | None:
        return self.ledger.seen(marker, cable, message_id, at, "exact")

    def told(self) -> dict[str, int]:
        """The ends and marks that are not zero."""
        interval = self.recorder.cut()
        self.totals.add(interval)
        self.events += interval.events
        self.lines += interval.deliveries
        return {name: self.totals.reply(name) for name in (*ENDS, *MARKS) if self.totals.reply(name)}


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.mark.parametrize(("after_us", "end"), [(5 * S, "on_time"), (5 * S + 1, "late")])
def test_the_deadline_counts_from_due(story: Story, after_us: int, end: str) -> None:
    """A frame exactly at the deadline is on time, whenever the reply was sent."""
    story.attempt(sent=DUE + 4 * S)
    story.frame(at=DUE + after_us)
    assert story.told() == {end: 1}


@pytest.mark.parametrize("lag_us", [0, 20 * S])
def test_lost_counts_from_due_and_never_less_from_sent(story: Story, lag_us: int) -> None:
    """A reply that was sent late gets the whole time from when it was sent."""
    story.accept(story.attempt(sent=DUE + lag_us), at=DUE + lag_us + 1)
    story.ledger.tick(DUE + lag_us + 30 * S - 1)
    assert story.told() == {}
    story.ledger.tick(DUE + lag_us + 30 * S)
    assert story.told() == {"lost": 1}


def test_a_stamp_of_sending_before_due_does_not_shorten_the_time(story: Story) -> None:
    """Lost is told from due, even if a reply left a moment early."""
    story.accept(story.attempt(sent=DUE - S))
    story.ledger.tick(DUE + 29 * S)
    assert story.told() == {}


def test_a_frame_before_the_answer_is_a_delivery(story: Story) -> None:
    """The event usually beats the answer of its own POST."""
    reply = story.attempt()
    story.frame()
    story.accept(reply, at=DUE + 2 * S)
    assert story.told() == {"on_time": 1}


def test_a_frame_after_lost_makes_it_late(story: Story) -> None:
    """The correction is signed, and the happenings say that the lost reply was found."""
    story.accept(story.attempt())
    story.ledger.tick(DUE + 31 * S)
    assert story.told() == {"lost": 1}
    story.frame(at=DUE + 40 * S)
    last = story.recorder.cut()
    assert {name: n for name, n in last.counters.items() if name.startswith("reply.")} == {"reply.lost": -1, "reply.late": 1}
    assert [event["kind"] for event in last.events if event["kind"] != "slow"] == ["found"]


def test_a_refetch_then_a_frame(story: Story) -> None:
    """Recovered means never on the cable: a frame that still comes takes it back."""
    story.accept(story.attempt())
    story.ledger.refetched("ann", [1, 2])
    assert story.told() == {"recovered": 1}
    story.frame()
    assert story.told() == {"on_time": 1}


def test_a_refetch_of_a_lost_reply_recovers_it(story: Story) -> None:
    """Reconnecting after half an hour and finding the message in the history is a recovery."""
    story.accept(story.attempt())
    story.ledger.tick(DUE + 31 * S)
    story.ledger.refetched("ann", [1])
    assert story.told() == {"recovered": 1}


def test_another_customers_history_recovers_nothing(story: Story) -> None:
    """Only an answer to that customer counts."""
    story.accept(story.attempt())
    story.ledger.refetched("bob", [1])
    assert story.told() == {}


def test_recovered_by_an_id_learned_later(story: Story) -> None:
    """The history may hold a message before its POST was answered, or before the agent's list told its id."""
    first, second = story.attempt("m1"), story.attempt("m2")
    story.ledger.refetched("ann", [1, 2])
    story.accept(first, 1)
    story.ledger.unanswered(second, DUE + 9 * S)
    story.ledger.listed(second, 2)
    assert story.told() == {"recovered": 2}


@pytest.mark.parametrize("learned_later", [False, True])
def test_the_drain_waits_for_a_frame_that_a_refetch_has_overtaken(story: Story, learned_later: bool) -> None:
    """A reply sent while the cable was open may still come by cable; one sent before the cable opened will not."""
    reply = story.attempt()
    if not learned_later:
        story.accept(reply)
    story.ledger.refetched("ann", [1], open_since_us=DUE - S)
    if learned_later:
        story.accept(reply)
    assert story.told() == {"recovered": 1}
    assert story.ledger.pending_of("ann") == story.ledger.pending_count == 1
    story.ledger.tick(DUE + 30 * S)
    assert story.ledger.pending_count == 0
    before = story.attempt("m2")
    story.accept(before, 2)
    story.ledger.refetched("ann", [2], open_since_us=DUE + S)
    assert story.ledger.pending_count == 0


def test_a_5xx_then_a_frame_is_delivered_unasked(story: Story) -> None:
    """The server said no and delivered all the same: accepted, on time, and marked."""
    reply = story.attempt()
    story.ledger.answered(reply, DUE + 1, status=502, refusal="http_502")
    assert story.told() == {"refused": 1}
    assert story.totals.counters["reply.refused.http_502"] == 1
    story.frame()
    assert story.told() == {"on_time": 1, "unasked": 1}
    assert story.totals.counters["reply.refused.http_502"] == 0


def test_a_frame_then_a_5xx_is_unasked_as_well(story: Story) -> None:
    """The order of frame and answer does not matter."""
    reply = story.attempt()
    story.frame()
    story.ledger.answered(reply, DUE + 2 * S, status=502, refusal="http_502")
    assert story.told() == {"on_time": 1, "unasked": 1}


@pytest.mark.parametrize(("message_id", "readable", "end"), [(None, True, "refused"), (None, False, "undetermined"), (1, True, "lost")])
def test_the_message_list_decides_on_unanswered_replies(story: Story, message_id: int | None, readable: bool, end: str) -> None:
    """Absent: refused; unreadable: undetermined; present: accepted like any other."""
    reply = story.attempt()
    story.ledger.unanswered(reply, DUE + 10 * S)
    story.ledger.tick(DUE + 60 * S)
    assert story.told() == {}
    story.ledger.listed(reply, message_id, readable=readable)
    story.ledger.close(DUE + 60 * S)
    assert story.told() == {end: 1}


def test_a_second_look_at_the_list_puts_the_first_right(story: Story) -> None:
    """A list that could not be read, or that lacked the message, may show it a moment later."""
    reply = story.attempt()
    story.ledger.unanswered(reply, DUE + 10 * S)
    for first in ({"readable": False}, {"readable": True}):
        story.ledger.listed(reply, None, **first)
    story.ledger.listed(reply, 1)
    assert story.told() == {}
    story.ledger.refetched("ann", [1])
    story.ledger.listed(reply, None)
    assert story.told() == {"recovered": 1}


def test_an_unanswered_reply_that_is_delivered_was_accepted(story: Story) -> None:
    """Whatever the list says: an event came."""
    reply = story.attempt()
    story.ledger.unanswered(reply, DUE + 10 * S)
    story.ledger.listed(reply, None)
    story.frame(at=DUE + 20 * S)
    assert story.told() == {"late": 1}


def test_an_answer_without_a_readable_id_counts_as_no_answer(story: Story) -> None:
    """Nothing is known of it until the list is read; without a list it stays undetermined."""
    story.ledger.answered(story.attempt(), DUE + 1, status=200)
    story.ledger.close(DUE + 60 * S)
    assert story.told() == {"undetermined": 1}


def test_what_could_not_be_sent_is_refused(story: Story) -> None:
    """Unreachable, without any latency."""
    story.ledger.unsendable(story.attempt(sent=None))
    assert story.told() == {"refused": 1}
    assert story.totals.counters["reply.refused.unreachable"] == 1
    assert story.totals.histograms == {}


def test_too_young_to_be_lost_is_undetermined(story: Story) -> None:
    """At the close an old accepted reply is lost and a young one undetermined."""
    story.accept(story.attempt("m1"), 1)
    story.accept(story.attempt("m2", due=DUE + 10 * S, sent=DUE + 10 * S), 2)
    story.ledger.close(DUE + 35 * S)
    assert story.told() == {"lost": 1, "undetermined": 1}


def test_further_copies_are_one_duplicate(story: Story) -> None:
    """A mark counts replies: three copies of one are one duplicate, and its latency is the first frame's."""
    story.accept(story.attempt())
    for after in (1, 2, 3):
        story.frame(at=DUE + after * S)
    assert story.told() == {"on_time": 1, "duplicate": 1}
    assert (story.totals.histograms["reply.response"].count, story.totals.histograms["reply.response"].sum_us) == (1, S)


def test_a_second_message_with_the_same_marker_is_no_duplicate(story: Story) -> None:
    """A duplicate is a further copy of the same message id; a repeated POST makes another message, and it is counted as a stray."""
    story.accept(story.attempt())
    story.frame()
    assert story.frame(message_id=99) is None
    assert story.told() == {"on_time": 1}
    assert story.totals.reply("stray") == 1


@pytest.mark.parametrize(("arrivals", "marks"), [([1, 2, 3], 0), ([2, 1, 3], 1), ([1, 3, 2], 1), ([3, 1, 2], 2), ([3, 2, 1], 2)])
def test_one_swap_is_one_mark(story: Story, arrivals: list[int], marks: int) -> None:
    """A reply is out of order when a message with a higher id was there before it."""
    for n in (1, 2, 3):
        story.accept(story.attempt(f"m{n}"), n)
    for n in arrivals:
        story.frame(f"m{n}", n)
    assert story.told().get("out_of_order", 0) == marks


def test_the_customers_own_messages_count_for_the_order(story: Story) -> None:
    """A customer's echo with a higher id before the reply's frame puts the reply out of order."""
    story.accept(story.attempt(), 1)
    assert story.ledger.newest("ann", 7, 2) is False
    story.frame()
    assert story.told() == {"on_time": 1, "out_of_order": 1}


def test_a_copy_on_another_contacts_cable_is_misrouted_and_no_delivery(story: Story) -> None:
    """Ends are told by the subscription that asked."""
    story.accept(story.attempt())
    for _ in range(2):
        story.frame(cable="bob")
    story.ledger.tick(DUE + 31 * S)
    assert story.told() == {"lost": 1, "misrouted": 1}


def test_a_verified_contacts_other_sessions_are_counted_apart(story: Story) -> None:
    """Their copies are neither misrouted nor duplicates nor deliveries; a second copy on one of them is a duplicate."""
    reply = story.attempt(also=("ann-2", "ann-3"))
    story.frame(cable="ann-2")
    assert story.told() == {}
    story.accept(reply)
    story.frame()
    assert story.told() == {"on_time": 1}
    assert (story.totals.counters["copies.owed"], story.totals.counters["copies.seen"]) == (2, 1)
    story.frame(cable="ann-2")
    assert story.told() == {"on_time": 1, "duplicate": 1}
    assert story.totals.counters["copies.seen"] == 1


def test_a_refused_reply_owes_no_copies(story: Story) -> None:
    """Only accepted replies are owed to anybody."""
    story.ledger.answered(story.attempt(also=("ann-2",)), DUE + 1, status=500, refusal="http_500")
    story.told()
    assert "copies.owed" not in story.totals.counters


def test_an_owed_copy_is_waited_for_as_long_as_its_reply(story: Story) -> None:
    """A reply that has its end pends until its copies are there, or until it would have been lost."""
    story.accept(story.attempt(also=("ann-2", "ann-3")))
    story.frame()
    story.frame(cable="ann-2")
    assert story.ledger.pending_of("ann") == story.ledger.pending_count == 1
    story.frame(cable="ann-3")
    assert story.ledger.pending_of("ann") == story.ledger.pending_count == 0
    story.accept(story.attempt("m2", also=("ann-2",)), 2)
    story.frame("m2", 2)
    story.ledger.tick(DUE + 30 * S - 1)
    assert story.ledger.pending_count == 1
    story.ledger.tick(DUE + 30 * S)
    assert story.ledger.pending_count == 0
    assert story.told() == {"on_time": 2}
    assert (story.totals.counters["copies.owed"], story.totals.counters["copies.seen"], story.totals.copies_missing) == (3, 2, 1)
    story.ledger.tick(DUE + 62 * S)
    story.told()
    assert [(e["marker"], e["sessions"]) for e in story.events if e["kind"] == "copy_missing"] == [("m2", ["ann-2"])]


def test_for_the_copies_of_a_refused_reply_nobody_waits(story: Story) -> None:
    """Nor for those of one that is lost: both were waited for alike."""
    story.ledger.answered(story.attempt(also=("ann-2",)), DUE + 1, status=500, refusal="http_500")
    assert story.ledger.pending_count == 0
    story.accept(story.attempt("m2", also=("ann-2",)), 2)
    story.ledger.tick(DUE + 30 * S)
    assert story.ledger.pending_count == 0
    assert story.told() == {"refused": 1, "lost": 1}


def test_a_stray_frame_is_counted(story: Story) -> None:
    """A marker that nobody here expects is no reply of ours, and is not dropped silently."""
    assert story.frame("foreign") is None
    story.told()
    assert story.totals.reply("stray") == 1


def test_where_the_time_went(story: Story) -> None:
    """Every latency is one subtraction of two stamps."""
    story.accept(story.attempt(sent=DUE + 3, asked_us=DUE - 100), at=DUE + 50)
    story.frame(at=DUE + 1000)
    story.told()
    sums = {name: histogram.sum_us for name, histogram in story.totals.histograms.items()}
    assert sums == {"reply.lag": 3, "reply.post": 47, "reply.response": 1000, "reply.delivery": 997, "answer.wait": 1100}
    assert story.totals.histograms["reply.response"].exact == 1
    assert story.totals.histograms["reply.post"].exact == 0


def _replies_in_memory() -> int:
    return sum(isinstance(thing, Reply) for thing in gc.get_objects())


def test_an_old_lost_reply_does_not_hold_the_others() -> None:
    """Settled replies are let go while one from long ago is still lost, and while late ones come after they were lost."""
    gc.collect()  # what earlier tests left in cycles is not ours
    others = _replies_in_memory()
    story = Story(log=True)
    story.accept(story.attempt("lost"), 10**6)
    at = DUE
    for n in range(2000):
        at += S
        reply = story.attempt(f"m{n}", due=at, sent=at)
        story.accept(reply, n, at + 1)
        if n >= 40:
            story.frame(f"m{n - 40}", n - 40, at)
        story.ledger.tick(at)
    assert _replies_in_memory() - others < 200
    story.ledger.close(at)
    story.told()
    assert len(story.lines) == 2001


def test_a_reply_waits_for_its_answer_before_its_line_is_written() -> None:
    """A delivery whose POST is still open long after its frame gets the answer into its line, and the mark too."""
    story = Story(log=True)
    reply = story.attempt()
    story.frame()
    story.ledger.tick(DUE + 50 * S)
    assert (story.told(), story.lines) == ({"on_time": 1}, [])
    story.ledger.answered(reply, DUE + 60 * S, status=504, refusal="http_504", request_id="r-1")
    story.ledger.tick(DUE + 91 * S)
    assert story.told() == {"on_time": 1, "unasked": 1}
    assert story.lines[0].split(",")[6] == "r-1"
    assert story.lines[0].endswith(",on_time,unasked,exact")


def test_the_slowest_replies_are_told_with_what_finds_them_in_a_servers_log(story: Story) -> None:
    """The facts are complete although the frame came before the answer, be it intervals before."""
    reply = story.attempt()
    story.frame(at=DUE + 4 * S)
    story.told()
    assert story.events == []
    story.ledger.answered(reply, DUE + 6 * S, status=200, message_id=1, request_id="req")
    story.told()
    (slow,) = story.events
    told = (slow["kind"], slow["marker"], slow["request_id"], slow["response_ms"], slow["post_ms"])
    assert told == ("slow", "m1", "req", 4000.0, 6000.0)


def test_a_slow_reply_whose_answer_never_comes_is_told_when_it_is_given_up(story: Story) -> None:
    """Once, with what is known of it."""
    reply = story.attempt()
    story.frame(at=DUE + 4 * S)
    story.ledger.unanswered(reply, DUE + 20 * S)
    story.ledger.tick(DUE + 70 * S)
    story.told()
    (slow,) = story.events
    assert (slow["marker"], slow["response_ms"], "post_ms" in slow) == ("m1", 4000.0, False)
