"""Servers, connections and agents that are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from loadkit.chat.agent import AgentClient
from loadkit.chat.http import Connection
from tests.chat.server import Server, Step

TOKEN = "an-access-token"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(*connections: Sequence[Step], **options: Any) -> Server:
        made.append(Server(*connections, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Connection]]:
    made: list[Connection] = []

    def make(host: str, **options: Any) -> Connection:
        made.append(Connection(host, **{"timeout": 5.0} | options))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


@pytest.fixture
def client() -> Iterator[Callable[..., AgentClient]]:
    made: list[AgentClient] = []

    def make(host: str, **options: Any) -> AgentClient:
        made.append(AgentClient(host, TOKEN, **{"account": 1, "timeout": 5.0} | options))
        return made[-1]

    yield make
    for agent in made:
        agent.close()
