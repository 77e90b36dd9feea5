"""One deed for all who ask; and exchanges that never came to an end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from gevent.event import Event
from locust.env import Environment

from loadkit.chat import routes
from loadkit.chat.answers import Answer
from loadkit.errors import TransportError
from loadkit.measure.recorder import Recorder
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.once import Once
from loadkit.swarm.samples import Samples
from tests.support import eventually


def test_a_deed_is_done_once_and_all_wait_for_its_end() -> None:
    """Asked for by five at once, and by one afterwards."""
    done, gate = [], Event()

    def deed() -> None:
        gate.wait()
        done.append(1)

    once = Once(deed, done.append)
    assert not once.begun
    waiting = [gevent.spawn(once) for _ in range(5)]
    eventually(lambda: once.begun)
    assert not any(one.ready() for one in waiting)
    gate.set()
    gevent.joinall(waiting, timeout=5)
    once()
    assert done == [1]
    assert all(one.successful() for one in waiting)


def test_whoever_is_killed_while_waiting_does_not_end_the_deed() -> None:
    """A signal's handler may be gone before the drain is over."""
    done, gate = [], Event()
    once = Once(lambda: (gate.wait(), done.append(1))[1], done.append)
    waiting = gevent.spawn(once)
    eventually(lambda: once.begun)
    waiting.kill()
    gate.set()
    once()
    assert done == [1]


def test_a_deed_that_breaks_is_told_once_and_lets_everybody_go() -> None:
    """Its exception goes to `on_failure`; nobody who waited is hurt, and it is not tried again."""
    tried, failures = [], []

    def deed() -> None:
        tried.append(1)
        raise RuntimeError("broken")

    once = Once(deed, lambda greenlet: failures.append(str(greenlet.exception)))
    once()
    once()
    assert (tried, failures) == ([1], ["broken"])


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_what_still_hangs_is_given_up_once(recorder: Recorder) -> None:
    """Only what was sent before the moment; each has failed without an answer, under its route, and is not counted again."""
    exchanges = Exchanges(recorder, Samples(Environment()))
    with ExitStack() as held:
        for route, sent_us in [("message.create", 1_000_000), ("message.create", 2_000_000), ("contact.create", 9_000_000)]:
            held.enter_context(exchanges.under_way(route, sent_us))
        with pytest.raises(ConnectionError), exchanges.under_way("contact.create", 1_000_000):
            raise ConnectionError
        exchanges.give_up(9_000_000)
        interval = recorder.cut()
        assert interval.counters == {"http.message.create.unanswered": 2, "http.message.create.failed": 2}
        assert [(row.kind, row.where, row.count) for row in interval.errors] == [("no_answer_until_the_end", "message.create", 2)]
        assert interval.histograms == {}
        exchanges.give_up(9_000_000)
    exchanges.give_up(99_000_000)
    assert recorder.cut().counters == {}


def test_exchanges_are_counted_under_their_routes(recorder: Recorder) -> None:
    """An answer has a time, a refusal a failure besides, and a throttled one is counted as such too; without an answer there is no time."""
    exchanges = Exchanges(recorder, Samples(Environment()))
    exchanges.answered("message.create", 5)
    exchanges.answered("message.create", 5)
    exchanges.failed("message.create", "throttled", "429: later")
    exchanges.unanswered("contact.create", "timeout", "nothing came")
    interval: Any = recorder.cut()
    assert interval.histograms["http.message.create"].count == 2
    assert "http.contact.create" not in interval.histograms
    failed = {"http.message.create.failed": 1, "throttled": 1, "http.contact.create.failed": 1, "http.contact.create.unanswered": 1}
    assert interval.counters == failed


def test_an_exchange_of_ours_is_in_locusts_tables_too(recorder: Recorder) -> None:
    """Taken, refused or broken: counted and timed once here, and a row there, which fails where it failed here."""
    environment, told = Environment(), []
    environment.events.request.add_listener(lambda **sample: told.append(sample))
    samples = Samples(environment)
    exchanges, route = Exchanges(recorder, samples), routes.AGENT_MESSAGE_CREATE
    exchanges.taken(route, Answer(200, b"{}", "", 1_000, 3_000), "", "{}")
    exchanges.taken(route, Answer(429, b"later", "", 1_000, 2_000), "throttled", "later")
    exchanges.broken(route, TransportError("timeout", "nothing came"))
    samples.flush()
    assert {(row["request_type"], row["name"]) for row in told} == {("POST", "agent.message.create")}
    assert [(row["response_time"], row["response_length"], str(row["exception"] or "")) for row in told] == [
        (2.0, 2, ""),
        (1.0, 5, "throttled"),
        (None, 0, "timeout"),
    ]
    interval: Any = recorder.cut()
    assert interval.histograms["http.agent.message.create"].count == 2
    assert interval.counters == {
        "http.agent.message.create.failed": 2,
        "throttled": 1,
        "http.agent.message.create.unanswered": 1,
    }
    assert [(row.kind, row.example) for row in interval.errors] == [("throttled", "later"), ("timeout", "nothing came")]
