"""What an agent can do over HTTP, on at most a browser's worth of connections."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from loadkit.chat import models, routes
from loadkit.chat.answers import Answer
from loadkit.chat.events import FORM
from loadkit.chat.http import Connection
from loadkit.chat.request import Request

__all__ = ["AgentClient"]

MOST_PAGES = 50


class AgentClient:
    """An agent by access token. `connections` is how many requests are under way at once; more wait for a free one."""

    def __init__(
        self,
        host: str,
        token: str,
        *,
        account: int | None = None,
        connections: int = 6,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 60.0,
    ) -> None:
        self.account = account
        self._token = token
        self._headers = {"Api-Access-Token": token}
        self._free = threading.BoundedSemaphore(connections)
        self._host, self._ssl = host, ssl_context
        self._connect_timeout, self._timeout = connect_timeout, timeout
        self._idle: list[Connection] = []

    def beside(self, connections: int) -> AgentClient:
        """Return a client of the same agent with connections of its own, so that neither waits for the other."""
        return AgentClient(
            self._host,
            self._token,
            account=self.account,
            connections=connections,
            ssl_context=self._ssl,
            connect_timeout=self._connect_timeout,
            timeout=self._timeout,
        )

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._free:
            connection = self._idle.pop() if self._idle else self._new()
            try:
                yield connection
            finally:
                self._idle.append(connection)

    def _new(self) -> Connection:
        return Connection(self._host, ssl_context=self._ssl, connect_timeout=self._connect_timeout, timeout=self._timeout)

    def call(self, route: routes.Route, *, query: str = "", body: bytes | None = None, **values: str | int) -> Answer:
        """Ask for a route and return the answer, whatever its status. Raises TransportError."""
        with self._connection() as connection:
            return connection.exchange(route.method, route.path(**values) + query, headers=self._headers, body=body)

    def carry(self, request: Request, *, sending: Callable[[int], None]) -> Answer:
        """Send a request and return the answer, whatever its status; `sending` and TransportError are as in `reply`."""
        with self._connection() as connection:
            connection.open()
            return connection.exchange(request.route.method, request.path, headers=self._headers, body=request.body, sending=sending)

    def profile(self) -> models.Profile:
        """Return the agent's profile. Raises AnswerError, TransportError, RemoteProtocolError."""
        answer = self.call(routes.AGENT_PROFILE)
        answer.check("the agent's profile")
        return models.decode(answer.body, models.Profile, "the agent's profile")

    def reply(
        self,
        conversation_id: int,
        content: str,
        marker: str,
        *,
        sending: Callable[[int], None],
        content_type: str = "text",
        items: Sequence[str] = (),
    ) -> Answer:
        """Post a public message that carries a marker, and return the answer, whatever its status.

        `items` are what a form (`input_select`) lets the customer choose from. `sending` is called with the *sent* stamp on the line
        before the bytes leave a connection that is already ours. Raises TransportError: `unreachable` or `shortage` before `sending` was
        called, `timeout` or `cut` after.
        """
        body: dict[str, Any] = {"content": content, "message_type": "outgoing", "private": False, "echo_id": marker, "source_id": marker}
        if content_type != "text":
            body["content_type"] = content_type
        if content_type == FORM:
            body["content_attributes"] = {"items": [{"title": item, "value": item} for item in items]}
        route = routes.AGENT_MESSAGE_CREATE
        return self.carry(
            Request.json(route, route.path(account=self.account or 0, conversation=conversation_id), body),
            sending=sending,
        )

    def find_messages(self, conversation_id: int, source_ids: set[str]) -> dict[str, int]:
        """Return the message ids by `source_id` of those that a conversation holds, walking back through its pages.

        Raises AnswerError, TransportError, RemoteProtocolError: then nothing is known.
        """
        found: dict[str, int] = {}
        query = ""
        for _ in range(MOST_PAGES):
            answer = self.call(routes.AGENT_MESSAGE_LIST, query=query, account=self.account or 0, conversation=conversation_id)
            answer.check("the agent's message list")
            page = models.decode(answer.body, models.AgentMessages, "the agent's message list").payload
            found |= {message.source_id: message.id for message in page if message.source_id in source_ids and message.source_id}
            if not page or len(found) == len(source_ids):
                break
            query = f"?before={min(message.id for message in page)}"
        return found

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
