"""The queues: what saturates is the lock, not the threads; frames come before answers; updates come later. Ratios only."""

from __future__ import annotations

import random
import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadkit import clock
from loadkit.errors import SettingsError
from loadkit.sandbox import Sandbox
from loadkit.sandbox.pipeline import BROADCAST
from loadkit.sandbox.service import Service
from tests.sandbox.client import Customer, reply, truth
from tests.sandbox.conftest import Make
from tests.support import eventually


def throughput(sandbox: Sandbox, replies: int, clients: int) -> float:
    """Return the replies a second that a closed loop of clients gets."""
    customers = [Customer(sandbox, connected=False) for _ in range(4)]
    began = clock.now()
    with ThreadPoolExecutor(clients) as pool:
        statuses = list(pool.map(lambda n: reply(sandbox, customers[n % 4], f"m{n}").status, range(replies)))
    assert statuses == [200] * replies
    return replies / (clock.now() - began)


@pytest.mark.alone
def test_more_clients_and_more_threads_do_not_help(make: Make) -> None:
    """One lock is held for nearly all of a post's time: eight clients get little more than one, with one thread or with ten."""
    few = throughput(make(service="constant:20ms", http_threads=1), 30, 1)
    many = throughput(make(service="constant:20ms", http_threads=10), 60, 8)
    assert 0.9 < many / few < 1.6


@pytest.mark.alone
def test_half_the_service_time_is_twice_the_throughput(make: Make) -> None:
    """The service time alone says where a sandbox saturates, and without any it is many times faster."""
    slow = throughput(make(service="constant:40ms"), 25, 6)
    fast = throughput(make(service="constant:20ms"), 50, 6)
    free = throughput(make(service="none"), 200, 6)
    assert 1.5 < fast / slow < 2.5
    assert free > 3 * fast


@pytest.mark.alone
def test_the_frame_usually_comes_before_the_answer(make: Make) -> None:
    """At rest nearly every reply reaches the customer's socket before its POST is answered."""
    sandbox = make(service="real")
    customer = Customer(sandbox)
    for number in range(15):
        reply(sandbox, customer, f"m{number}")
    early = [row["written"][0]["mono_us"] < row["answered"]["mono_us"] for row in truth(sandbox, 15)]
    assert sum(early) >= 10
    customer.wire.close()  # type: ignore[union-attr]


def test_the_conversations_update_comes_behind_its_message(make: Make) -> None:
    """In the default timing `conversation.updated` is read again by a later job: after the POST's own answer."""
    sandbox = make(service="real")
    customer = Customer(sandbox)
    assert customer.wire
    reply(sandbox, customer, "first")
    assert customer.wire.events("conversation.updated") == []
    eventually(lambda: customer.wire and customer.wire.events("conversation.updated"))
    names = [message["event"] for message in customer.wire.events()]
    assert names.index("message.created") < names.index("conversation.updated")
    customer.wire.close()


@pytest.mark.parametrize(
    ("text", "typical"),
    [("constant:20ms", 0.02), ("exponential:30ms", 0.03), ("lognormal:20ms,80ms", 0.02), ("real", 0.052)],
)
def test_service_times_are_drawn_as_written(text: str, typical: float) -> None:
    """The middle of many draws is what was asked for, other work keeps its proportion to it."""
    service, rng = Service.parse(text), random.Random(1)
    draws = [sum(service.post(rng)) for _ in range(4000)]
    middle = statistics.mean if text.startswith("exponential") else statistics.median
    assert middle(draws) == pytest.approx(typical, rel=0.1)
    others = middle([service.other(BROADCAST, rng) for _ in range(4000)])
    assert others == pytest.approx(BROADCAST.median * typical / 0.052, rel=0.1)
    assert sum(Service.parse("none").post(rng)) == Service.parse("none").other(BROADCAST, rng) == 0.0


@pytest.mark.parametrize("text", ["", "fast", "none:1s", "constant", "constant:0s", "lognormal:80ms,20ms", "lognormal:1s", "constant:x"])
def test_a_service_that_cannot_be_read_is_one_sentence(text: str) -> None:
    """Before anything runs."""
    with pytest.raises(SettingsError):
        Sandbox(service=text)


@pytest.mark.parametrize("text", ["", "some", "-0.1", "1.01", "101%", "nan"])
def test_a_share_of_the_lock_that_cannot_be_is_one_sentence(text: str) -> None:
    """Before anything runs."""
    with pytest.raises(SettingsError):
        Sandbox(lock=text)


def test_without_the_lock_more_threads_are_more_servers(make: Make) -> None:
    """The same clients that one thread serves one after the other are served four at once."""
    few = throughput(make(service="constant:20ms", lock="0", http_threads=1), 30, 8)
    many = throughput(make(service="constant:20ms", lock="0", http_threads=4), 90, 8)
    assert many / few > 2.5
