"""A server with two routes of the agent API: it takes replies and lists messages, or fails to, as a test wants it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

from gevent.event import Event

from tests.chat.server import Server, answer

CONNECTIONS, REQUESTS = 60, 400


class AgentApi:
    """`take` and `show` answer a POST's body and a conversation's list by bytes; without bytes the connection hangs until `close`."""

    def __init__(self) -> None:
        self.take: Callable[[dict[str, Any]], bytes | None] = lambda body: answer({"id": self.next_id(), "echo_id": body["echo_id"]})
        self.show: Callable[[int], bytes | None] = lambda conversation: listed()
        self.posted: list[str] = []
        self.looked: list[int] = []
        self._ids = count(1)
        self._over = Event()
        self._server = Server(*[[self._play] * REQUESTS] * CONNECTIONS)
        self.host = self._server.host

    def next_id(self) -> int:
        return next(self._ids)

    def _play(self, sock: socket.socket) -> None:
        head, _, body = self._server.requests[-1].partition(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        conversation = int(re.search(r"conversations/(\d+)/messages", line)[1])  # type: ignore[index]
        if line.startswith("POST"):
            said = json.loads(body)
            self.posted.append(said["source_id"])
            content = self.take(said)
        elif "before=" in line:
            content = listed()
        else:
            self.looked.append(conversation)
            content = self.show(conversation)
        if content is None:
            self._over.wait()
            raise ConnectionError
        sock.sendall(content)

    def close(self) -> None:
        self._over.set()
        self._server.close()


def listed(**ids: int) -> bytes:
    """Return the page of a message list that holds these `source_id`s."""
    return answer({"payload": [{"id": message_id, "source_id": marker} for marker, message_id in ids.items()]})
