"""The desk: no question is answered twice or forgotten, and what came to it is what left it, to the question."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original

from loadkit import clock, constant
from loadkit.swarm import Agent
from loadkit.swarm.customer import Session
from loadkit.swarm.desk import Question
from loadkit.workload.delay import exponential
from tests.chat.server import answer
from tests.support import eventually
from tests.swarm.patched.agent_api import AgentApi
from tests.swarm.patched.room import DEADLINE_US, LEFT, Prompt, Room, Slow


class Thinker(Agent):
    thinks = constant("0.05s")


class Human(Agent):
    thinks = exponential("0.1s")


Make = Callable[..., Room]


def test_a_question_is_answered_once_however_many_agents_see_it(room: Make, api: AgentApi) -> None:
    """Every agent's cable shows it; one replies, and the reply's marker is the question's own."""
    one = room(count=3)
    question = one.ask()
    for _ in range(3):
        one.show(question)
    eventually(lambda: api.posted)
    eventually(lambda: not one.desk.is_busy)
    assert api.posted == [str(question.marker.reply)]
    assert (one.counted("desk.taken"), one.counted("reply.attempted"), one.counted("question.unseen")) == (1, 1, 0)
    assert question.customer.owed == 0


def test_no_reply_leaves_before_it_is_due(room: Make, api: AgentApi) -> None:
    """A timer that is started by a watcher counts from when the loop woke up: where that was a while ago, it is early by as long."""
    one = room(Thinker)
    question = one.ask()

    def show() -> None:
        get_original("time", "sleep")(0.02)
        one.show(question)

    watcher = gevent.get_hub().loop.timer(0)
    watcher.start(show)
    eventually(lambda: api.posted)
    watcher.close()
    reply = one.ledger.expected(str(question.marker.reply))
    assert reply.sent_us >= reply.due_us


def test_a_frame_that_beats_the_answer_is_answered(room: Make, api: AgentApi) -> None:
    """The POST's own answer, whatever it is, changes nothing any more."""
    one = room()
    questions = [one.ask(taken=False) for _ in range(3)]
    for question in questions:
        one.show(question)
    one.desk.settle(questions[0], taken=True)
    one.desk.settle(questions[1], taken=False, refused=True)
    one.desk.settle(questions[2], taken=False)
    one.desk.tick(clock.now_us() + 10 * DEADLINE_US)
    eventually(lambda: len(api.posted) == 3)
    assert (one.counted("desk.taken"), one.counted("question.asked"), one.counted("question.unseen")) == (3, 1, 0)


def test_an_unseen_question_is_handed_over_once_and_then(room: Make, api: AgentApi) -> None:
    """Not before the deadline has passed since its POST was answered; it is seen at the moment of handing, and a frame after it is late."""
    one = room()
    question = one.ask(taken=False)
    one.desk.tick(question.sent_us + 100 * DEADLINE_US)
    assert question.seen_us is None
    one.desk.settle(question, taken=True)
    assert question.posted_us is not None
    handed_us = question.posted_us + DEADLINE_US
    one.desk.tick(handed_us - 1)
    assert (question.seen_us, one.counted("question.unseen")) == (None, 0)
    for later in range(3):
        one.desk.tick(handed_us + later)
    assert question.seen_us == handed_us
    one.show(question)
    eventually(lambda: api.posted)
    eventually(lambda: not one.desk.is_busy)
    assert api.posted == [str(question.marker.reply)]
    assert (one.counted("question.unseen"), one.counted("desk.taken")) == (1, 1)
    one.desk.tick(handed_us + 100 * DEADLINE_US)
    assert one.counted("question.unseen") == 1


@pytest.mark.parametrize("refused", [True, False])
def test_a_question_that_was_not_taken_is_not_waited_for(room: Make, api: AgentApi, refused: bool) -> None:
    """A refused one is off the desk at once, one without an answer after the deadline: until then its frame may come."""
    one = room()
    question = one.ask(taken=False)
    one.desk.settle(question, taken=False, refused=refused)
    one.desk.tick(question.sent_us + DEADLINE_US)
    one.show(question)
    one.desk.tick(question.sent_us + 100 * DEADLINE_US)
    assert (question.seen_us, one.counted("desk.taken"), one.counted("question.unseen")) == (None, 0, 0)
    shown = one.ask(taken=False)
    one.desk.settle(shown, taken=False)
    one.show(shown)
    eventually(lambda: api.posted == [str(shown.marker.reply)])


def test_a_leaving_customers_questions_are_forgotten(room: Make, api: AgentApi) -> None:
    """Those that wait are `unpicked` and wait no more, those that nobody has seen yet will be, one that is picked up stays."""
    one = room(Slow)
    ann, bob = one.customer(), one.customer()
    questions = [one.ask(who) for who in (ann, ann, bob, ann, bob)]
    for question in questions:
        one.show(question)
    late, unseen = one.ask(ann), one.ask(ann)
    assert (one.desk.waiting, ann.owed) == (4, 1)
    one.desk.forget(ann)
    one.desk.forget(ann)
    assert (one.desk.waiting, ann.owed, one.counted("desk.unpicked")) == (2, 1, 2)
    one.show(late)
    assert (one.desk.waiting, one.counted("desk.taken"), one.counted("question.unseen")) == (2, 6, 0)
    one.desk.tick(clock.now_us() + 100 * DEADLINE_US)
    one.show(unseen)
    assert (one.desk.waiting, one.counted("desk.taken"), one.counted("question.unseen")) == (2, 7, 1)
    one.desk.forget(bob)
    assert (one.desk.waiting, one.counted("desk.unpicked")) == (0, 6)
    more = one.ask(bob)
    one.show(more)
    assert one.desk.waiting == 1
    one.end()
    assert (one.counted("desk.cancelled"), one.counted("desk.unpicked"), ann.owed) == (1, 7, 0)
    assert api.posted == []


def test_the_next_agent_passes_over_the_forgotten(room: Make, api: AgentApi) -> None:
    """Questions in between that were forgotten are not answered, and the others are, first come first served."""
    one = room(Human)
    taking, leaving = one.customer(), one.customer()
    first = one.ask(taking)
    one.show(first)
    rest = [one.ask(who) for who in (leaving, taking, leaving, leaving, taking)]
    for question in rest:
        one.show(question)
    one.desk.forget(leaving)
    assert one.desk.waiting == 2
    expected = [str(question.marker.reply) for question in (first, rest[1], rest[4])]
    eventually(lambda: len(api.posted) == 3)
    gevent.sleep(0.05)
    assert api.posted == expected
    assert one.desk.waiting == 0
    assert taking.owed == 0


def test_after_the_stop_nothing_is_picked_up(room: Make, api: AgentApi) -> None:
    """What waits or still comes is `unpicked`, what was due later is `cancelled`."""
    one = room(Slow, 2)
    questions = [one.ask() for _ in range(5)]
    for question in questions[:4]:
        one.show(question)
    one.desk.close(clock.now_us())
    one.show(questions[4])
    assert not one.desk.is_busy
    one.end()
    assert {name: one.counted(name) for name in LEFT} == {
        "reply.attempted": 0,
        "desk.cancelled": 2,
        "desk.unpicked": 3,
        "desk.unsent": 0,
    }
    assert [question.customer.owed for question in questions] == [0] * 5
    assert api.posted == []


def test_what_the_end_of_the_drain_cuts_is_told_apart(room: Make, api: AgentApi) -> None:
    """On its way: attempted, and its end is the list's to tell; still without a connection: `unsent`."""
    api.take = lambda body: None
    one = room(count=1, connections=2)
    questions = [one.ask() for _ in range(5)]
    for question in questions:
        one.show(question)
    eventually(lambda: len(api.posted) == 2)
    one.end(patience=0.2)
    assert {name: one.counted(name) for name in LEFT} == {
        "reply.attempted": 2,
        "desk.cancelled": 0,
        "desk.unpicked": 0,
        "desk.unsent": 3,
    }
    assert len(one.ledger.unanswered_before(clock.now_us())) == 2
    route = "http.agent.message.create"
    assert (one.counted(f"{route}.unanswered"), one.counted(f"{route}.failed")) == (2, 2)
    assert [question.customer.owed for question in questions] == [0] * 5


def test_a_copy_is_owed_where_the_customer_was_when_the_reply_left(room: Make, api: AgentApi) -> None:
    """A session opened while the agent thought is owed one; one that was opened while the POST was under way is not."""
    gate = Event()

    def take(body: dict[str, Any]) -> bytes:
        gate.wait()
        return answer({"id": 1})

    api.take = take
    one = room(Human)
    question = one.ask()
    one.show(question)
    question.customer.sessions.append(Session(question.customer, "early"))
    eventually(lambda: api.posted)
    question.customer.sessions.append(Session(question.customer, "late"))
    gate.set()
    eventually(lambda: not one.desk.is_busy)
    one.ledger.seen(str(question.marker.reply), question.customer.key, 1, clock.now_us(), "exact")
    assert (one.counted("copies.owed"), one.ledger.pending_count) == (1, 1)
    one.ledger.seen(str(question.marker.reply), "early", 1, clock.now_us(), "exact")
    assert (one.counted("copies.seen"), one.ledger.pending_count) == (1, 0)


def test_a_server_that_is_gone_is_an_attempt(room: Make, api: AgentApi) -> None:
    """A reply for which no connection could be made was attempted, and is refused as unreachable."""
    one = room()
    api.close()
    one.show(one.ask())
    eventually(lambda: one.counted("reply.attempted") == 1)
    assert (one.counted("reply.refused.unreachable"), one.counted("http.agent.message.create.unanswered")) == (1, 1)


@pytest.mark.parametrize("seed", range(4))
def test_what_came_to_the_desk_is_what_left_it(room: Make, api: AgentApi, seed: int) -> None:
    """At random: questions seen, unseen, refused and forgotten, agents who think, servers that refuse, dawdle and hang, a stop anywhere."""
    rng = random.Random(f"desk {seed}")

    def take(body: dict[str, Any]) -> bytes | None:
        gevent.sleep(rng.expovariate(50))
        kind = rng.random()
        if kind < 0.05:
            return None
        return answer({"id": api.next_id()}) if kind < 0.8 else answer({"error": "later"}, "429 Too Many Requests")

    api.take = take
    one = room(rng.choice([Prompt, Human]), rng.randint(1, 4), connections=rng.randint(1, 3))
    customers = [one.customer() for _ in range(6)]
    expected: list[Question] = []
    until = clock.now() + 1.2
    while clock.now() < until:
        step = rng.random()
        if step < 0.5:
            expected.append(one.ask(rng.choice(customers), taken=rng.random() < 0.8))
        elif step < 0.9 and expected:
            one.show(expected.pop(rng.randrange(len(expected))))
        elif step < 0.95 and expected:
            one.desk.settle(expected[-1], taken=False, refused=rng.random() < 0.5)
        else:
            leaving = rng.randrange(len(customers))
            one.desk.forget(customers[leaving])
            customers[leaving] = one.customer()
        one.desk.tick(clock.now_us())
        assert one.desk.waiting >= 0
        gevent.sleep(rng.expovariate(300))
    one.end(patience=rng.choice([0.0, 0.1, 0.4]))
    assert one.counted("desk.taken") > 20
    assert one.counted("reply.attempted") > 0


def test_what_is_due_in_the_moment_of_the_cut_is_unsent(room: Make, api: AgentApi) -> None:
    """A drain without patience: due before the stop, its timer not yet run. It is `unsent`, and nothing is posted afterwards."""
    one = room()
    question = one.ask()
    one.show(question)
    get_original("time", "sleep")(0.01)
    one.end(patience=0)
    gevent.sleep(0.1)
    assert (one.counted("desk.unsent"), one.counted("reply.attempted"), question.customer.owed) == (1, 0, 0)
    assert api.posted == []
