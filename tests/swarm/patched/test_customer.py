"""A customer by itself: what is read back after a gap."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from locust.env import Environment

from loadkit.cable.connection import Cable
from loadkit.cable.receiver import Receiver
from loadkit.chat.contact import ContactApi
from loadkit.chat.request import Request
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.swarm.customer import Customer
from loadkit.swarm.samples import Samples
from loadkit.swarm.watch import Watch

PAGE = 20


class History:
    """A conversation's messages on a server, read twenty at a time."""

    def __init__(self, newest: int) -> None:
        self.newest, self.asked = newest, 0

    def __call__(self, request: Request, shape: Any) -> Any:
        self.asked += 1
        before = int(parse_qs(urlsplit(request.path).query).get("before", [self.newest + 1])[0])
        rows = [{"id": n, "content": "x", "message_type": 1} for n in range(max(1, before - PAGE), before)]
        return msgspec.convert(rows, shape)


def drop(customer: Customer) -> None:
    """Let the customer's cable break."""
    recorder, receiver, failures = Recorder(), Receiver(b"marker"), []
    ledger = Ledger(recorder, deadline_us=1, lost_after_us=1)
    samples = Samples(Environment())
    watch = Watch("run", 0, ledger=ledger, recorder=recorder, samples=samples, on_back=failures.append, on_failure=failures.append)
    watch.dropped(Cable("ws://127.0.0.1:1/cable", "{}", receiver=receiver, watcher=watch, tag=customer), "eof")
    receiver.close()
    assert not failures


def reader(newest: int, known: int) -> tuple[Customer, History]:
    """Return a customer who knows the messages of a conversation up to one."""
    history = History(newest)
    customer = Customer(ContactApi("inbox"), history)
    customer.conversations, customer.newest_message = [1], known
    return customer, history


def test_a_frame_that_comes_before_the_refetch_does_not_shorten_it() -> None:
    """The stock client too remembers at the drop what it knew: the first frame on the new cable is newer than all that was missed."""
    customer, history = reader(newest=170, known=100)
    drop(customer)
    customer.newest_message = 170
    drop(customer)  # it may break again before it has read
    assert set(range(101, 171)) <= set(customer.refetch())
    assert (history.asked, customer.newest_message) == (4, 170)


def test_the_next_refetch_reads_from_what_the_last_one_brought() -> None:
    """One page is enough where nothing was missed since."""
    customer, history = reader(newest=170, known=100)
    drop(customer)
    customer.refetch()
    history.asked = 0
    drop(customer)
    assert min(customer.refetch()) == 151
    assert history.asked == 1
