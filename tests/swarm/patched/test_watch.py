"""A customer's further session: its cable counts copies of replies, and nothing of what it shows is news to the customer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from locust.env import Environment

from loadkit import clock
from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from loadkit.chat.contact import ContactApi
from loadkit.chat.events import FORM, MESSAGE_CREATED
from loadkit.chat.marker import QUESTION, REPLY, Marker, needle
from loadkit.chat.models import Contact
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.swarm.customer import Customer, Session
from loadkit.swarm.samples import Samples
from loadkit.swarm.watch import Watch

RUN = "0123abcd"


class Sight:
    """What two customers' cables and those of their second devices show."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.ledger = Ledger(self.recorder, deadline_us=5_000_000, lost_after_us=30_000_000)
        self.foreign: list[Marker] = []
        self.failures: list[tuple[str, str]] = []
        self.counters: Counter[str] = Counter()
        self.receiver = Receiver(needle(RUN))
        self.watch = Watch(
            RUN,
            0,
            ledger=self.ledger,
            recorder=self.recorder,
            samples=Samples(Environment()),
            on_back=lambda customer: None,
            on_failure=lambda *what: self.failures.append(what),
            on_foreign=self.foreign.append,
        )
        self.ann, self.bob = self.customer("ann"), self.customer("bob")

    def customer(self, name: str) -> Customer:
        made = Customer(ContactApi("inbox"), lambda request, shape: None)
        made.become(Contact(name, "a-token", 1))
        made.cable = self.cable(made)
        session = Session(made, f"{name}-2")
        session.cable = self.cable(session)
        made.sessions.append(session)
        return made

    def cable(self, tag: Customer | Session) -> Cable:
        return Cable("ws://127.0.0.1:1/cable", "{}", receiver=self.receiver, watcher=self.watch, tag=tag)

    def attempt(self, number: int, customer: Customer, *, also: tuple[str, ...]) -> str:
        """Attempt and accept a reply that the customer waits for; its message has the same number."""
        marker, now_us = str(Marker(RUN, 0, REPLY, number)), clock.now_us()
        reply = Reply(
            marker, conversation_id=7, subscription=customer.key, agent=1, worker=0, due_us=now_us, sent_us=now_us, also=also
        )  # fmt: skip
        customer.unanswered.add(marker)
        self.ledger.attempt(reply)
        self.ledger.answered(reply, now_us, status=200, message_id=number)
        return marker

    def show(self, cable: Cable | None, marker: str, number: int) -> None:
        assert cable is not None
        data = {"id": number, "conversation_id": 7, "echo_id": marker, "content_type": FORM}
        payload = json.dumps({"identifier": "{}", "message": {"event": MESSAGE_CREATED, "data": data}}).encode()
        self.watch.marked(cable, payload, MESSAGE_CREATED, clock.now_us(), "exact")

    def counted(self, *names: str) -> tuple[int, ...]:
        self.counters.update(self.recorder.cut().counters)
        return tuple(self.counters[name] for name in names)


@pytest.fixture
def sight() -> Iterator[Sight]:
    made = Sight()
    yield made
    made.receiver.close()
    assert not made.failures


def test_a_copy_is_counted_and_is_no_news(sight: Sight) -> None:
    """The customer goes on waiting, has no form to fill in and would still read the message back."""
    marker = sight.attempt(1, sight.ann, also=("ann-2",))
    sight.show(sight.ann.sessions[0].cable, marker, 1)
    assert (sight.ann.unanswered, sight.ann.form, sight.ann.newest_message) == ({marker}, None, 0)
    sight.show(sight.ann.cable, marker, 1)
    assert (sight.ann.unanswered, sight.ann.newest_message) == (set(), 1)
    assert sight.counted("copies.owed", "copies.seen", "reply.on_time", "reply.misrouted", "reply.stray") == (1, 1, 1, 0, 0)


def test_a_copy_that_was_not_owed_is_no_leak(sight: Sight) -> None:
    """Attempted before the session was subscribed, delivered after: it may be told there, once or twice, or not."""
    marker = sight.attempt(1, sight.ann, also=())
    for _ in range(2):
        sight.show(sight.ann.sessions[0].cable, marker, 1)
    sight.show(sight.ann.cable, marker, 1)
    names = ("copies.owed", "copies.seen", "reply.on_time", "reply.misrouted", "reply.duplicate", "reply.stray")
    assert sight.counted(*names) == (0, 0, 1, 0, 0, 0)


def test_on_anothers_second_device_it_is_misrouted(sight: Sight) -> None:
    """A leak is a leak on every cable; so is another worker's reply, and one of this worker's that nobody expects is a stray."""
    marker = sight.attempt(1, sight.ann, also=("ann-2",))
    device = sight.bob.sessions[0].cable
    sight.show(device, marker, 1)
    sight.show(device, str(Marker(RUN, 3, REPLY, 9)), 2)
    sight.show(device, str(Marker(RUN, 0, REPLY, 99)), 3)
    assert sight.counted("reply.misrouted", "reply.stray", "copies.seen") == (1, 1, 0)
    assert sight.foreign == [Marker(RUN, 3, REPLY, 9)]


def test_the_customers_own_messages_are_echoed_on_the_own_cable_alone(sight: Sight) -> None:
    """What a second device shows of them ends no waiting and is no sample."""
    marker = str(Marker(RUN, 0, QUESTION, 5))
    sight.ann.unechoed[marker] = clock.now_us()
    sight.show(sight.ann.sessions[0].cable, marker, 5)
    assert marker in sight.ann.unechoed
    sight.show(sight.ann.cable, marker, 5)
    assert (sight.ann.unechoed, sight.ann.newest_message) == ({}, 5)
    assert sight.counted("reply.stray", "reply.misrouted") == (0, 0)


def test_a_throttled_handshake_is_throttling(sight: Sight) -> None:
    """429 to a first or a further handshake counts among the throttled requests; another refusal does not."""
    assert sight.ann.cable is not None
    for kind in ("connect_http_429", "reconnect_http_429", "connect_http_503", "bad_frame"):
        sight.watch.remote_error(sight.ann.cable, kind, "the cable was answered something else")
    interval = sight.recorder.cut()
    assert (interval.counters["throttled"], interval.counters["cable.throttled"]) == (2, 2)
    assert {error.where for error in interval.errors} == {"cable of a customer"}
    assert len(interval.errors) == 4
