"""A server with the agent API of a conversation: it takes replies, lists messages and does the rest, or fails to, as a test wants it."""

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
DONE = {
    "update_last_seen": {"id": 7},
    "assignments": None,
    "toggle_status": {"payload": {"current_status": "resolved"}},
    "create_call": {"room_id": "a-room"},
    "note": {"id": 1},
    "show": {"id": 7},
    "conversations": {"data": {"payload": []}},
}
"""What errands are answered; the others have no body."""


class AgentApi:
    """`take`, `show` and `do` answer a POST's body, a conversation's list and an errand by bytes.

    Without bytes the connection hangs until `close`.
    """

    def __init__(self) -> None:
        self.take: Callable[[dict[str, Any]], bytes | None] = lambda body: answer({"id": self.next_id(), "echo_id": body["echo_id"]})
        self.show: Callable[[int], bytes | None] = lambda conversation: listed()
        self.do: Callable[[str], bytes | None] = lambda errand: answer(DONE.get(errand, b""))
        self.done: list[tuple[str, Any]] = []
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
        conversation, verb = re.search(r"conversations(?:/(\d+))?(?:/(\w+))?", line).groups()  # type: ignore[union-attr]
        said = json.loads(body or b"{}")
        if verb != "messages" or said.get("private"):
            errand = "conversations" if conversation is None else "note" if verb == "messages" else verb or "show"
            self.done.append((errand, said))
            content = self.do(errand)
        elif line.startswith("POST"):
            self.posted.append(said["source_id"])
            content = self.take(said)
        elif "before=" in line:
            content = listed()
        else:
            self.looked.append(int(conversation))
            content = self.show(int(conversation))
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
