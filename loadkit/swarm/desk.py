"""The desk: customers' questions wait here for a free agent of this process, who thinks and replies.

When things happen is arithmetic over stamps, not over when our code ran: an agent picks up at the later of the question's receive
stamp and the agent's previous due, and is held until *due* = pick-up + the drawn thinking time. Sending holds nobody.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
from gevent import GreenletExit
from gevent.pool import Group

from loadkit import clock
from loadkit.chat import models, routes
from loadkit.chat.answers import refusal
from loadkit.chat.marker import Marker
from loadkit.errors import AnswerError, RemoteProtocolError, TransportError
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.measure.reply import Reply
from loadkit.swarm.agent import Agent
from loadkit.swarm.customer import Customer
from loadkit.swarm.errands import Errand, Errands
from loadkit.swarm.exchanges import Exchanges

if TYPE_CHECKING:
    from loadkit.swarm.samples import Samples

__all__ = ["Desk", "Question"]

_ROUTE = routes.AGENT_MESSAGE_CREATE


class Question:
    """A customer's message on its way to an agent: `sent_us` the line before the request, `seen_us` None until the desk knows of it."""

    __slots__ = ("conversation_id", "customer", "errand", "forgotten", "marker", "posted_us", "seen_us", "sent_us", "settled")

    def __init__(self, marker: Marker, customer: Customer, conversation_id: int, sent_us: int) -> None:
        self.marker = marker
        self.customer = customer
        self.conversation_id = conversation_id
        self.sent_us = sent_us
        self.posted_us: int | None = None
        self.settled = False
        self.forgotten = False
        self.errand: Errand | None = None
        self.seen_us: int | None = None


class Desk:
    """The agents of this process and the questions that wait for them, first come first served."""

    def __init__(
        self,
        agents: list[Agent],
        *,
        ledger: Ledger,
        recorder: Recorder,
        samples: Samples,
        exchanges: Exchanges,
        deadline_us: int,
        on_failure: Callable[[gevent.Greenlet], None],
    ) -> None:
        self._ledger, self._recorder, self._samples, self._exchanges = ledger, recorder, samples, exchanges
        self._deadline_us = deadline_us
        self._on_failure = on_failure
        self._idle = list(agents)
        heapq.heapify(self._idle)
        self._expected: dict[str, Question] = {}
        self._waiting: deque[Question] = deque()
        self._stale = 0
        self._of: dict[Customer, set[Question]] = {}
        self._holding: dict[Agent, tuple[Question, gevent.Greenlet]] = {}
        self._sending = Group()
        self._closed = self._is_over = False
        self.agents = agents
        self.last_sent_us = 0
        self.errands = Errands(agents, recorder=recorder, exchanges=exchanges, on_failure=on_failure)

    # From the customer: a question is expected before it is sent, because its frame usually beats the answer.

    def expect(self, question: Question) -> None:
        """Expect a question on an agent's cable."""
        self._expected[str(question.marker)] = question
        self._of.setdefault(question.customer, set()).add(question)

    def settle(self, question: Question, *, taken: bool, refused: bool = False) -> None:
        """Note how the customer's request ended: taken, refused, or without an answer. One that was shown is answered in any case."""
        question.settled = True
        if self._is_over:
            return
        if taken:
            question.posted_us = clock.now_us()
            self._recorder.count("question.asked")
        if question.seen_us is not None or refused:
            self._expected.pop(str(question.marker), None)
        if refused and question.seen_us is None:
            self._release(question)

    def seen(self, marker: str, received_us: int, quality: str) -> None:
        """Take a question from an agent's cable; further agents' copies say nothing new."""
        question = self._expected.get(marker)
        if question is None or question.seen_us is not None:
            return
        self._recorder.latency("question.delivery", received_us - question.sent_us, quality)
        self._samples.cable("question.delivery", received_us - question.sent_us)
        self._take(question, received_us)
        if question.settled:
            del self._expected[marker]

    def tick(self, now_us: int) -> None:
        """Hand over the questions that no agent's cable has shown within the deadline of their being saved; they are seen now, not then."""
        for marker, question in list(self._expected.items()):
            if question.posted_us is None:
                if question.settled and now_us - question.sent_us >= self._deadline_us:
                    del self._expected[marker]
                    self._release(question)
            elif now_us - question.posted_us >= self._deadline_us:
                self._recorder.count("question.unseen")
                self._take(question, now_us)
                del self._expected[marker]

    def _take(self, question: Question, seen_us: int) -> None:
        question.seen_us = seen_us
        self._recorder.count("desk.taken")
        if self._closed or question.forgotten:
            self._leave_unpicked(question)
            return
        self._waiting.append(question)
        if self._idle:
            self._pick_up(heapq.heappop(self._idle))

    def _release(self, question: Question) -> None:
        """Let go of a question that is the desk's no longer: picked up, refused, or forgotten."""
        mine = self._of.get(question.customer)
        if mine is not None:
            mine.discard(question)
            if not mine:
                del self._of[question.customer]

    def _leave_unpicked(self, question: Question) -> None:
        self._release(question)
        self._recorder.count("desk.unpicked")

    # The agents.

    def _pick_up(self, agent: Agent) -> None:
        """Let a free agent take the oldest question, if there is one."""
        while self._waiting and self._waiting[0].forgotten:
            self._waiting.popleft()
            self._stale -= 1
        if not self._waiting or self._closed:
            heapq.heappush(self._idle, agent)
            return
        question = self._waiting.popleft()
        self._release(question)
        seen_us = question.seen_us or 0
        picked_us = max(seen_us, agent.free_us)
        self._recorder.latency("desk.wait", picked_us - seen_us)
        question.customer.owed += 1
        agent.free_us = due_us = picked_us + agent.thinking_us()
        timer = gevent.spawn_later(max(0, due_us - clock.now_us()) / 1e6, self._due, agent, question, due_us)
        timer.link_exception(self._on_failure)
        self._holding[agent] = question, timer
        question.errand = self.errands.begin(agent, question.conversation_id)

    def _due(self, agent: Agent, question: Question, due_us: int) -> None:
        while (early_us := due_us - clock.now_us()) > 0:  # gevent counts a timer from when its loop last looked at the clock
            gevent.sleep(early_us / 1e6)
        del self._holding[agent]
        sender = self._sending.spawn(self._send, agent, question, due_us)
        sender.link_exception(self._on_failure)
        self._pick_up(agent)

    def _send(self, agent: Agent, question: Question, due_us: int) -> None:
        message_id = None
        try:
            message_id = self._reply(agent, question, due_us)
        finally:
            if question.errand is not None:
                question.errand.replied(message_id)

    def _reply(self, agent: Agent, question: Question, due_us: int) -> int | None:
        """Send a reply and account for it; return its message id, None where the server did not say that it took it."""
        customer, marker = question.customer, str(question.marker.reply)
        reply = Reply(
            marker,
            conversation_id=question.conversation_id,
            subscription=customer.key,
            agent=agent.profile.id,
            worker=question.marker.worker,
            due_us=due_us,
            asked_us=question.sent_us,
        )

        def sending(sent_us: int) -> None:
            reply.sent_us = self.last_sent_us = sent_us
            self._attempt(reply, customer)

        try:
            answer = agent.client.reply(
                question.conversation_id,
                agent.text(),
                marker,
                sending=sending,
                content_type=agent.kind_of_reply(),
                items=agent.choices,
            )
        except TransportError as error:
            self._unanswered(reply, customer, error)
            return None
        except GreenletExit:
            self._cut_off(reply, customer)
            raise
        message_id, kind, example = None, refusal(answer.status, answer.body), answer.body[:200].decode("utf-8", "replace")
        problem = kind
        if not kind:
            try:
                message_id = models.decode(answer.body, models.AgentMessage, "the agent's reply").id
            except RemoteProtocolError as error:
                problem, example = error.kind, str(error)
        self._exchanges.taken(_ROUTE, answer, problem, example)
        self._ledger.answered(
            reply, answer.answered_us, status=answer.status, message_id=message_id, request_id=answer.request_id, refusal=kind
        )
        return message_id

    def _attempt(self, reply: Reply, customer: Customer) -> None:
        customer.owed -= 1
        reply.also = tuple(session.key for session in customer.sessions)
        self._ledger.attempt(reply)

    def _unanswered(self, reply: Reply, customer: Customer, error: TransportError) -> None:
        self._exchanges.broken(_ROUTE, error)
        if reply.sent_us is None:
            self._attempt(reply, customer)
            self._ledger.unsendable(reply)
        else:
            self._ledger.unanswered(reply, clock.now_us())

    def _cut_off(self, reply: Reply, customer: Customer) -> None:
        """Account for a reply whose sending the end of the drain has cut: on its way, or still waiting for a connection."""
        if reply.sent_us is None:
            customer.owed -= 1
            self._recorder.count("desk.unsent")
        else:
            self._exchanges.cut_off(_ROUTE)
            self._ledger.unanswered(reply, clock.now_us())

    # Leaving and ending.

    @property
    def waiting(self) -> int:
        """How many questions wait for a free agent."""
        return len(self._waiting) - self._stale

    @property
    def is_busy(self) -> bool:
        """Whether a drain has to wait: for a reply that is due, or will be, for an errand, or for a question to be shown or unseen."""
        expecting = any(question.posted_us is not None for question in self._expected.values())
        return bool(self._sending or (self._closed and self._holding) or self.errands.asking or expecting)

    def give_up(self) -> None:
        """Count as unseen what no agent's cable has shown until now: nothing more is looked at."""
        self.tick(clock.now_us() + self._deadline_us)
        self._is_over = True

    def forget(self, customer: Customer) -> None:
        """Let no agent pick up the questions of a customer who leaves; those not seen yet are still expected, to be accounted for."""
        for question in list(self._of.get(customer, ())):
            question.forgotten = question.settled = True  # whoever leaves has no request under way
            if question.seen_us is not None:
                self._expected.pop(str(question.marker), None)
                self._stale += 1
                self._leave_unpicked(question)

    def close(self, stop_us: int) -> None:
        """Stop: nothing more is picked up, and a reply due later than the stop is cancelled; what is due goes out."""
        self._closed = True
        self.errands.close()
        for question in self._waiting:
            if not question.forgotten:
                self._leave_unpicked(question)
        self._waiting.clear()
        self._stale = 0
        for agent, (question, timer) in list(self._holding.items()):
            if agent.free_us > stop_us:
                timer.kill(block=False)
                del self._holding[agent]
                question.customer.owed -= 1
                self._recorder.count("desk.cancelled")

    def list_unanswered(self, conversation_id: int, replies: list[Reply]) -> None:
        """Ask an agent's message list about a conversation's replies whose POSTs got no answer."""
        asked = {reply.marker: reply for reply in replies}
        agent = next(agent for agent in self.agents if agent.profile.id == replies[0].agent)
        try:
            found = agent.client.find_messages(conversation_id, set(asked))
        except (AnswerError, RemoteProtocolError, TransportError) as error:
            self._recorder.error(error.kind, routes.AGENT_MESSAGE_LIST.name, str(error))
            for reply in replies:
                self._ledger.listed(reply, None, readable=False)
            return
        except GreenletExit:
            self._recorder.error("no_answer_until_the_end", routes.AGENT_MESSAGE_LIST.name)
            raise
        for marker, reply in asked.items():
            self._ledger.listed(reply, found.get(marker))

    def cut(self) -> None:
        """Cut the POSTs that are still under way, and those whose moment has come and that have not begun."""
        for question, timer in self._holding.values():
            timer.kill(block=False)
            question.customer.owed -= 1
            self._recorder.count("desk.unsent")
        self._holding.clear()
        gevent.sleep(0)  # a greenlet that is killed before it began would account for nothing
        self._sending.kill(block=True, timeout=1)
        self.errands.cut()

    def end(self) -> None:
        """Close the agents' cables and connections."""
        for agent in self.agents:
            if agent.cable is not None:
                agent.cable.close()
            agent.client.close()
        self.errands.end()
