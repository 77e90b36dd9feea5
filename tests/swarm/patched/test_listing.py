"""Looking up replies whose POSTs got no answer: each once, all once more at the end, and never for longer than was said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from locust.env import Environment

from loadkit import clock
from loadkit.chat.agent import AgentClient
from loadkit.chat.models import Profile
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.swarm import Agent
from loadkit.swarm.desk import Desk
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.listing import AT_ONCE, Listing
from loadkit.swarm.samples import Samples
from tests.chat.server import answer
from tests.support import eventually
from tests.swarm.patched.agent_api import AgentApi, listed

BROKEN = answer({"error": "broken"}, "500 Internal Server Error")
TIMEOUT = 60.0


class Lists:
    """Replies without an answer, and who looks them up."""

    def __init__(self, api: AgentApi) -> None:
        self.recorder = Recorder()
        self.ledger = Ledger(self.recorder, deadline_us=5_000_000, lost_after_us=30_000_000)
        self.failures: list[Any] = []
        samples = Samples(Environment())
        clients = [AgentClient(api.host, "x", account=1, timeout=TIMEOUT) for _ in range(2)]
        self.desk = Desk(
            [Agent(n, Profile(n, "a-token"), client, random.Random(n), lambda: "hi") for n, client in enumerate(clients)],
            ledger=self.ledger,
            recorder=self.recorder,
            samples=samples,
            exchanges=Exchanges(self.recorder, samples),
            deadline_us=5_000_000,
            on_failure=self.failures.append,
        )
        self.listing = Listing(self.ledger, self.desk, self.failures.append)

    def unanswered(self, marker: str, conversation: int, agent: int = 0) -> Reply:
        """Return a reply whose POST was sent and got no answer."""
        now_us = clock.now_us()
        reply = Reply(marker, conversation_id=conversation, subscription="ann", agent=agent, worker=0, due_us=now_us, sent_us=now_us)
        self.ledger.attempt(reply)
        self.ledger.unanswered(reply, now_us)
        return reply

    def look_up(self) -> None:
        self.listing.look_up(clock.now_us())


@pytest.fixture
def lists(api: AgentApi) -> Iterator[Lists]:
    made = Lists(api)
    yield made
    made.desk.end()
    assert not made.failures


def test_each_is_looked_up_once_and_once_more_at_the_end(lists: Lists, api: AgentApi) -> None:
    """However often one looks; those of a conversation by one request, and the message made meanwhile is found by the last look."""
    first, second, other = lists.unanswered("m1", 5), lists.unanswered("m2", 5), lists.unanswered("m3", 6, agent=1)
    api.show = lambda conversation: listed(m1=11) if conversation == 5 else listed()
    for _ in range(5):
        lists.look_up()
    eventually(lambda: first.message_id == 11 and second.end == "refused" and other.end == "refused")
    for _ in range(5):
        lists.look_up()
        gevent.sleep(0.01)
    assert sorted(api.looked) == [5, 6]
    api.show = lambda conversation: listed(m1=11, m2=12) if conversation == 5 else listed()
    lists.listing.last_look(10)
    assert sorted(api.looked) == [5, 5, 6, 6]
    assert (second.message_id, second.end, other.end) == (12, None, "refused")
    lists.ledger.close(clock.now_us())
    counters = lists.recorder.cut().counters
    assert counters["reply.attempted"] - counters["reply.refused"] == 2
    assert counters["reply.refused.unanswered"] == 1


def test_those_given_up_too_lately_wait_for_their_turn(lists: Lists, api: AgentApi) -> None:
    """Only what was given up before the moment is looked up."""
    before_us = clock.now_us() - 1
    lists.unanswered("m1", 5)
    lists.listing.look_up(before_us)
    gevent.sleep(0.05)
    assert api.looked == []
    lists.look_up()
    eventually(lambda: api.looked == [5])


def test_an_unreadable_list_that_is_readable_later_ends_accepted(lists: Lists, api: AgentApi) -> None:
    """Undetermined until it is known; the last look finds the message, and its frame makes it on time."""
    reply = lists.unanswered("m1", 5)
    api.show = lambda conversation: BROKEN
    lists.look_up()
    eventually(lambda: reply.end == "undetermined")
    api.show = lambda conversation: listed(m1=11)
    lists.listing.last_look(10)
    assert (reply.message_id, reply.end) == (11, None)
    lists.ledger.seen("m1", "ann", 11, clock.now_us(), "exact")
    lists.ledger.close(clock.now_us())
    interval = lists.recorder.cut()
    ends = {name: n for name, n in interval.counters.items() if name.startswith("reply.") and n}
    assert ends == {"reply.attempted": 1, "reply.on_time": 1}
    assert [(row.kind, row.where) for row in interval.errors] == [("http_500", "agent.message.list")]


def test_an_unreadable_list_leaves_it_undetermined(lists: Lists, api: AgentApi) -> None:
    """Neither accepted for certain nor refused."""
    reply = lists.unanswered("m1", 5)
    api.show = lambda conversation: BROKEN
    lists.listing.last_look(10)
    lists.ledger.close(clock.now_us())
    assert reply.end == "undetermined"
    assert lists.recorder.cut().counters["reply.unread"] == 1


def test_all_get_their_turn_a_few_at_once(lists: Lists, api: AgentApi) -> None:
    """More conversations than may be asked about at once, by both agents; never more under way than that."""
    under_way, most = [], []

    def show(conversation: int) -> bytes:
        under_way.append(conversation)
        most.append(len(under_way))
        gevent.sleep(0.01)
        under_way.remove(conversation)
        return listed(**{f"m{conversation}": conversation})

    api.show = show
    replies = [lists.unanswered(f"m{n}", n, agent=n % 2) for n in range(1, 4 * AT_ONCE)]
    lists.listing.last_look(20)
    assert [reply.message_id for reply in replies] == [reply.conversation_id for reply in replies]
    assert sorted(api.looked) == [reply.conversation_id for reply in replies]
    assert 1 < max(most) <= AT_ONCE


def test_a_list_that_hangs_holds_nobody_up(lists: Lists, api: AgentApi) -> None:
    """The last look is over when its time is, long before a connection would time out; what is not known stays undetermined."""
    known, hanging = lists.unanswered("m1", 5), [lists.unanswered(f"h{n}", 100 + n, agent=1) for n in range(8)]
    api.show = lambda conversation: listed(m1=11) if conversation == 5 else None
    began = clock.now()
    lists.listing.last_look(0.5)
    assert 0.5 <= clock.now() - began < TIMEOUT / 10
    assert known.message_id == 11
    lists.ledger.close(clock.now_us())
    assert {reply.end for reply in hanging} == {"undetermined"}
    interval = lists.recorder.cut()
    assert interval.counters["reply.unread"] == len(hanging)
    assert [(row.kind, row.where) for row in interval.errors] == [("no_answer_until_the_end", "agent.message.list")]
