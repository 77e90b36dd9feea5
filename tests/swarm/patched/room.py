"""A desk by itself: with its ledger and recorder, agents who really post to a server, and customers who ask."""

from __future__ import annotations

import random
from typing import Any

import gevent
from locust.env import Environment

from loadkit import clock, constant
from loadkit.chat.agent import AgentClient
from loadkit.chat.contact import ContactApi
from loadkit.chat.marker import QUESTION, Marker
from loadkit.chat.models import Contact, Profile
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.swarm import Agent
from loadkit.swarm.customer import Customer
from loadkit.swarm.desk import Desk, Question
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.samples import Samples
from tests.swarm.patched.agent_api import AgentApi

DEADLINE_US = 20_000
LEFT = ("reply.attempted", "desk.cancelled", "desk.unpicked", "desk.unsent")


class Prompt(Agent):
    thinks = constant("0s")


class Slow(Agent):
    thinks = constant("60s")


class Room:
    """A desk and all that it needs."""

    def __init__(self, api: AgentApi, agents: type[Agent] = Prompt, count: int = 1, *, connections: int = 6) -> None:
        self.recorder = Recorder()
        self.ledger = Ledger(self.recorder, deadline_us=DEADLINE_US, lost_after_us=30_000_000)
        self.failures: list[Any] = []
        self.counters: dict[str, int] = {}
        self._numbers = iter(range(1, 1_000_000))
        samples = Samples(Environment())
        clients = [AgentClient(api.host, "x", account=1, connections=connections) for _ in range(count)]
        self.desk = Desk(
            [agents(n, Profile(n, "a-token"), client, random.Random(n), lambda: "hi") for n, client in enumerate(clients)],
            ledger=self.ledger,
            recorder=self.recorder,
            samples=samples,
            exchanges=Exchanges(self.recorder, samples),
            deadline_us=DEADLINE_US,
            on_failure=self.failures.append,
        )

    def customer(self) -> Customer:
        made = Customer(ContactApi("inbox"), lambda request, shape: None)
        made.become(Contact(f"source-{next(self._numbers)}", "a-token", 1))
        return made

    def ask(self, customer: Customer | None = None, *, taken: bool = True) -> Question:
        """Ask, and be answered by the server."""
        marker = Marker("0123abcd", 0, QUESTION, next(self._numbers))
        question = Question(marker, customer or self.customer(), 7, clock.now_us())
        self.desk.expect(question)
        if taken:
            self.desk.settle(question, taken=True)
        return question

    def show(self, question: Question) -> None:
        """Let the question's frame come to an agent's cable."""
        self.desk.seen(str(question.marker), clock.now_us(), "exact")

    def counted(self, name: str) -> int:
        for counter, n in self.recorder.cut().counters.items():
            self.counters[counter] = self.counters.get(counter, 0) + n
        return self.counters.get(name, 0)

    def end(self, *, patience: float = 5.0) -> None:
        """Stop as a run does: close, let go out what is due, cut the rest; then hold that the desk's account is even."""
        self.desk.close(clock.now_us())
        until = clock.now() + patience
        while self.desk.is_busy and clock.now() < until:
            self.desk.tick(clock.now_us())
            gevent.sleep(0.01)
        self.desk.cut()
        self.desk.give_up()
        self.desk.end()
        assert not self.failures
        assert self.counted("desk.taken") == sum(map(self.counted, LEFT)), self.counters
        assert self.counted("desk.taken") >= self.counted("question.asked"), self.counters
        assert self.desk.waiting == 0
