"""What the default timing comes to, in virtual time: the shapes of a real server under load, whatever this machine is doing meanwhile.

The figures beside each test are those of a stock OneHash Chat 4.2.0; `python -m tests.bench.sandbox_timing` measures them over sockets.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

import gevent
import pytest
from gevent.lock import BoundedSemaphore

from loadkit.sandbox.pauses import Pauses
from loadkit.sandbox.pipeline import BROADCAST, HELD, Pipeline
from loadkit.sandbox.service import Service
from tests.sandbox.virtual import VirtualTime


@dataclass(frozen=True)
class Reply:
    """When a reply was due, sent, written to its customer and answered, in seconds."""

    due: float
    sent: float
    written: float
    answered: float


@dataclass
class Server:
    """The queues with their default timing; replies come at a steady rate through so many senders."""

    time: VirtualTime = field(default_factory=VirtualTime)

    def offered(self, rate: float, count: int, *, members: int = 2, senders: int = 64) -> list[Reply]:
        """Offer replies that are due one after another and return what became of them."""
        pauses = lambda: Pauses(self.time.sleep, self.time.now)  # noqa: E731 - a factory in one line
        pipeline = Pipeline(Service.parse("real"), http_threads=5, jobs=10, seed=1, lock=HELD, pauses=pauses)
        pipeline.start()
        free = BoundedSemaphore(senders)
        done: list[Reply] = []

        def reply(due: float) -> None:
            written: list[float] = []

            def act() -> None:
                pipeline.queue(BROADCAST, lambda: written.append(self.time.now()), recipients=members + 1)

            with free:
                sent = self.time.now()
                pipeline.serve("POST", act)
                answered = self.time.now()
            while not written:
                self.time.sleep(0.001)
            done.append(Reply(due, sent, written[0], answered))

        def agents() -> None:
            for number in range(count):
                self.time.sleep(max(0.0, number / rate - self.time.now()))
                gevent.spawn(reply, number / rate)

        gevent.spawn(agents)
        self.time.run(until=lambda: len(done) == count)
        pipeline.stop()
        return done


def early(replies: list[Reply]) -> float:
    """Return the share whose frame was written before the answer."""
    return sum(reply.written < reply.answered for reply in replies) / len(replies)


def test_at_rest_the_frame_is_punctual_and_the_answer_is_not() -> None:
    """Frames take 44 ms in the middle and 69 in the worst percent, answers 52 and 104 to 191: what varies comes after the frame."""
    replies = Server().offered(2, 1000)
    delivery = statistics.quantiles([each.written - each.sent for each in replies], n=100)
    post = statistics.quantiles([each.answered - each.sent for each in replies], n=100)
    assert delivery[49] == pytest.approx(0.044, rel=0.15)
    assert post[49] == pytest.approx(0.052, rel=0.15)
    assert delivery[98] / delivery[49] < 1.6 < 1.9 < post[98] / post[49]


@pytest.mark.parametrize(("members", "delivery", "share"), [(2, 0.044, 1.0), (30, 0.059, 0.33), (100, 0.086, 0.13)])
def test_more_members_delay_the_frame_and_not_the_answer(members: int, delivery: float, share: float) -> None:
    """The customer is written last: the frame comes later, and ever less often before the answer."""
    replies = Server().offered(2, 1000, members=members)
    assert statistics.median(each.written - each.sent for each in replies) == pytest.approx(delivery, rel=0.2)
    assert early(replies) == pytest.approx(share, abs=0.1)


def test_it_saturates_at_fifteen_to_eighteen_replies_a_second() -> None:
    """Whatever is offered beyond that."""
    for rate in (20, 30):
        replies = Server().offered(rate, 900)
        assert 15 < (len(replies) - 1) / (max(each.answered for each in replies) - min(each.answered for each in replies)) < 18


def test_what_is_sent_late_looks_quick() -> None:
    """Beyond saturation the time from due grows with the load, the time from sent stays what a few busy senders make it."""
    medians = {}
    for rate in (20, 30):
        replies = Server().offered(rate, 30 * rate, senders=5)
        medians[rate] = [statistics.median(each.written - getattr(each, begin) for each in replies) for begin in ("due", "sent")]
    assert medians[30][0] > 3 * medians[20][0] > 3 * 3 * medians[20][1]
    assert medians[30][1] == pytest.approx(medians[20][1], rel=0.1)
