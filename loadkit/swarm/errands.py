"""What agents do besides replying, a question at a time: read, type, take over, note, call, resolve.

None of it delays a reply: each agent has connections of its own for it, and what the server is too slow for is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.event import AsyncResult
from gevent.pool import Group

from loadkit import clock
from loadkit.chat import models
from loadkit.chat.agent_api import AgentApi
from loadkit.chat.answers import Answer, refusal
from loadkit.chat.request import Request
from loadkit.errors import RemoteProtocolError, TransportError
from loadkit.measure.recorder import Recorder
from loadkit.swarm.agent import Agent
from loadkit.swarm.exchanges import Exchanges

__all__ = ["Errand", "Errands"]

CONNECTIONS = 2
"""How many requests besides replies an agent has under way at once."""

MOST_AT_ONCE = 20
"""How many questions' errands an agent may be behind with; those of further questions are left out."""

DEEDS = ("reads", "types", "assigns", "notes", "calls", "resolves", "lists")
"""The shares of an `Agent` that are errands."""

Step = tuple[Request, Any]
"""A request, and the shape of its answer: None where that has no body."""


class Errand:
    """What an agent does about one question besides replying, drawn when it is picked up."""

    def __init__(self, agent: Agent, conversation_id: int) -> None:
        self.agent, self._conversation_id = agent, conversation_id
        self._api = AgentApi(agent.client.account or 0)
        self._does = {deed for deed in DEEDS if agent.happens(getattr(agent, deed))}
        self._replied: AsyncResult = AsyncResult()

    def __bool__(self) -> bool:
        return bool(self._does)

    def replied(self, message_id: int | None) -> None:
        """Note that the reply is out: its message id, None where the server did not take it or nothing was sent."""
        self._replied.set(message_id)

    def steps(self) -> Iterator[Step]:
        """Yield what to ask for, in order; waits in between for the reply to be out."""
        yield from self._before()
        message_id = self._replied.get()
        if "types" in self._does:
            yield self._api.typing(self._conversation_id, on=False), None
        if message_id is not None:
            yield from self._after(message_id)

    def _before(self) -> Iterator[Step]:
        api, conversation = self._api, self._conversation_id
        if "reads" in self._does:
            yield api.show(conversation), models.AgentConversation
            yield api.list_messages(conversation), models.AgentMessages
            yield api.see(conversation), models.AgentConversation
        if "assigns" in self._does:
            yield api.assign(conversation, self.agent.profile.id), Any
        if "types" in self._does:
            yield api.typing(conversation, on=True), None

    def _after(self, message_id: int) -> Iterator[Step]:
        api, conversation = self._api, self._conversation_id
        if "notes" in self._does:
            yield api.note(conversation, self.agent.text()), models.AgentMessage
        if "calls" in self._does:
            room = f"loadkit-{conversation}-{message_id}"
            yield api.start_call(conversation, room, message_id), models.Call
            yield api.end_call(conversation, room), None
        if "resolves" in self._does:
            yield api.resolve(conversation), models.StatusChange
        if "lists" in self._does:
            yield api.list_conversations(), models.AgentConversations


class Errands:
    """The errands of a process's agents; `asking` is how many of their requests are under way."""

    def __init__(
        self,
        agents: list[Agent],
        *,
        recorder: Recorder,
        exchanges: Exchanges,
        on_failure: Callable[[gevent.Greenlet], None],
    ) -> None:
        self._recorder, self._exchanges = recorder, exchanges
        self._on_failure = on_failure
        self._clients = {agent: agent.client.beside(CONNECTIONS) for agent in agents}
        self._behind = dict.fromkeys(agents, 0)
        self._all = Group()
        self._closed = False
        self.asking = 0

    def begin(self, agent: Agent, conversation_id: int) -> Errand | None:
        """Set out on what an agent does about a question; None where that is nothing, or too much is to be done already."""
        errand = Errand(agent, conversation_id)
        if not errand:
            return None
        if self._behind[agent] >= MOST_AT_ONCE:
            self._recorder.count("desk.errands_left_out")
            return None
        self._behind[agent] += 1
        self._all.spawn(self._run, errand).link_exception(self._on_failure)
        return errand

    def _run(self, errand: Errand) -> None:
        try:
            for request, shape in errand.steps():
                if self._closed or not self._ask(errand.agent, request, shape):
                    return
        finally:
            self._behind[errand.agent] -= 1

    def _ask(self, agent: Agent, request: Request, shape: Any) -> bool:
        """Send a request, time and count it under its route's name; return whether it got an answer."""
        route = request.route
        sent: list[int] = []
        self.asking += 1
        try:
            with self._exchanges.under_way(route.name, clock.now_us()):
                answer = self._clients[agent].carry(request, sending=sent.append)
        except TransportError as error:
            self._exchanges.broken(route, error)
            return False
        except GreenletExit:
            if sent:
                self._exchanges.cut_off(route)
            raise
        finally:
            self.asking -= 1
        self._exchanges.taken(route, answer, *self._problem(answer, shape, route.name))
        return True

    @staticmethod
    def _problem(answer: Answer, shape: Any, route: str) -> tuple[str, str]:
        """Return the kind of what is wrong with an answer, "" for nothing, and what it says."""
        kind, example = refusal(answer.status, answer.body), answer.body[:200].decode("utf-8", "replace")
        try:
            if not kind and shape is not None:
                models.decode(answer.body, shape, route)
        except RemoteProtocolError as error:
            kind, example = error.kind, str(error)
        return kind, f"{answer.status}: {example}"

    def close(self) -> None:
        """Stop: nothing further is asked for; what is under way may end."""
        self._closed = True

    def cut(self) -> None:
        """Cut what is still under way."""
        self._all.kill(block=True, timeout=1)

    def end(self) -> None:
        """Close the connections."""
        self._all.kill(block=False)
        for client in self._clients.values():
            client.close()
