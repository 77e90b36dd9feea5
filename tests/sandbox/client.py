"""A plain client with blocking sockets: what a stranger's program would use against the sandbox."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import websocket

from loadkit import clock
from loadkit.cable import frames
from loadkit.sandbox import Sandbox
from tests.support import eventually

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    base: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
    content_type: str = JSON,
    source: str = "127.0.0.1",
) -> Reply:
    """Send one request on a connection of its own, from one of this machine's addresses, and return the answer."""
    data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
    sent = dict(headers or {})
    if data is not None:
        sent.setdefault("Content-Type", content_type)
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=30, source_address=(source, 0))
    try:
        connection.request(method, path, body=data, headers=sent)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Wire:
    """A cable socket whose frames are read by a thread: `frames` in the order they came, pings left out."""

    def __init__(self, base: str, *, protocols: tuple[str, ...] = ("actioncable-v1-json",)) -> None:
        url = base.replace("http", "ws", 1) + "/cable"
        self.ws = websocket.create_connection(url, subprotocols=list(protocols) or None, timeout=30)
        self.frames: list[Any] = []
        self.pings: list[int] = []
        self.pongs: list[bytes] = []
        self.ended: str | None = None
        self.close_code: int | None = None
        self._barriers = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                opcode, data = self.ws.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    frame = json.loads(data)
                    (self.pings if frame.get("type") == "ping" else self.frames).append(frame)
                elif opcode == websocket.ABNF.OPCODE_PONG:
                    self.pongs.append(data)
                elif opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(data[:2], "big")
                    self.ended = "closed"
                    return
        except (OSError, websocket.WebSocketException) as error:
            self.ended = f"dropped: {error!r}"

    def say(self, text: str) -> None:
        self.ws.send(text)

    def welcomed(self) -> None:
        """Return when a first frame is there: until then Rails may swallow what it is told (its buffer of early messages has a race)."""
        eventually(lambda: self.frames or self.ended)

    def subscribe(self, token: str, **who: int) -> str:
        """Subscribe after the welcome and wait for the confirmation; returns the identifier."""
        identifier = frames.room_identifier(token, **who)
        self.welcomed()
        self.say(frames.subscribe(identifier))
        eventually(lambda: any(f.get("type") == "confirm_subscription" and f["identifier"] == identifier for f in self.frames))
        return identifier

    def settle(self) -> None:
        """Return when everything that the server wrote before now was read."""
        self._barriers += 1
        word = str(self._barriers).encode()
        self.ws.ping(word)
        eventually(lambda: word in self.pongs or self.ended)

    def events(self, name: str | None = None) -> list[Any]:
        """Return the messages of the data frames, all or those of one event."""
        return [f["message"] for f in self.frames if "message" in f and name in (None, f["message"]["event"])]

    def close(self) -> None:
        """End TCP; that wakes the reading thread, which closing alone would not."""
        with contextlib.suppress(OSError, AttributeError):  # the reader may have ended and closed it
            self.ws.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self.ws.shutdown()


class Customer:
    """A contact of the sandbox, its conversation and its cable."""

    def __init__(self, sandbox: Sandbox, *, inbox: str | None = None, connected: bool = True) -> None:
        self._sandbox = sandbox
        base = f"/public/api/v1/inboxes/{inbox or sandbox.inbox}/contacts"
        self.contact = ask(sandbox.url, "POST", base, {}).json()
        self.path = f"{base}/{self.contact['source_id']}"
        self.conversation = ask(sandbox.url, "POST", self.path + "/conversations", {}).json()["id"]
        self.messages = f"{self.path}/conversations/{self.conversation}/messages"
        self.wire: Wire | None = None
        if connected:
            self.connect()

    def connect(self) -> Wire:
        self.wire = Wire(self._sandbox.url)
        self.wire.subscribe(self.contact["pubsub_token"])
        return self.wire

    def says(self, content: str) -> Reply:
        return ask(self._sandbox.url, "POST", self.messages, {"content": content})

    def hears(self) -> list[str]:
        """Return the markers of the agents' replies heard so far, in their order."""
        assert self.wire
        return [m["data"].get("echo_id") for m in self.wire.events("message.created") if m["data"]["message_type"] == 1]


def agent_path(customer: Customer) -> str:
    return f"/api/v1/accounts/1/conversations/{customer.conversation}/messages"


def reply(sandbox: Sandbox, customer: Customer, marker: str, **more: Any) -> Reply:
    """Let the first agent reply."""
    headers = {"Api-Access-Token": sandbox.agent_tokens[0]}
    return ask(sandbox.url, "POST", agent_path(customer), {"content": "hello", "echo_id": marker, **more}, headers=headers)


def truth(sandbox: Sandbox, count: int) -> list[dict[str, Any]]:
    """Return the lines of the truth file as soon as there are `count`, and no more."""
    path = sandbox.truth
    assert path
    found = eventually(lambda: lines if len(lines := path.read_bytes().splitlines()) >= count else None)
    assert len(found) == count
    return [json.loads(line) for line in found]


A = "/api/v1/accounts/1"


def acts(sandbox: Sandbox, method: str, path: str, body: Any = None, *, admin: bool = False, **more: Any) -> Reply:
    """Let the first agent, or the administrator, do something in the account."""
    token = sandbox.store.admin.access_token if admin else sandbox.agent_tokens[0]
    return ask(sandbox.url, method, A + path, body, headers={"Api-Access-Token": token}, **more)


def staff(sandbox: Sandbox, number: int = 1) -> Wire:
    """Return the subscribed cable of a user: 0 is the administrator, 1 the first agent."""
    user, wire = sandbox.store.users[number], Wire(sandbox.url)
    wire.subscribe(user.pubsub_token, account_id=1, user_id=user.id)
    return wire


def heard(sandbox: Sandbox, wire: Wire, *, first: int = 0) -> list[str]:
    """Return the names of the events that a socket has heard from `first` on, after everything under way has been written.

    Jobs run in the turns that a request takes, and a chain of them needs several.
    """
    for _ in range(4):
        ask(sandbox.control, "GET", "/state")
    wire.settle()
    return [message["event"] for message in wire.events()[first:] if message["event"] != "presence.update"]


def within_a_window() -> None:
    """Return when the throttle's minute will last another five seconds: what follows is counted together."""
    eventually(lambda: clock.unix_us() % 60_000_000 < 55_000_000, within=10)
