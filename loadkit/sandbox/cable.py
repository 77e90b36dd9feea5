"""Action Cable on the server's side: connections, subscriptions by verbatim identifier, streams, pings, and RoomChannel.

Nothing is rejected: what a client does wrong is met with silence, as the real server does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
import msgspec

from loadkit import clock
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.faults import Faults
from loadkit.sandbox.pipeline import Pipeline
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.rows import Session, User
from loadkit.sandbox.store import ACCOUNT, Store
from loadkit.sandbox.websocket import Socket, text_frame
from loadkit.sandbox.words import encode

__all__ = ["PING_S", "Cable", "Connection", "Subscription"]

_log = logging.getLogger(__name__)

PING_S = 3.0
WELCOME = text_frame(b'{"type":"welcome"}')
GO = b'{"type":"disconnect","reason":"server_restart","reconnect":%s}'
GO_AND_COME_BACK, GO_FOR_GOOD = text_frame(GO % b"true"), text_frame(GO % b"false")
GOING_AWAY = 1001


@dataclass(slots=True, eq=False)
class Subscription:
    """One confirmed identifier of one connection; `prefix` is what every data frame of it begins with."""

    connection: Connection
    owner: Session | User
    prefix: bytes
    streams: tuple[str, ...]

    @property
    def customer(self) -> Session | None:
        """The session it belongs to, None for a user's."""
        return self.owner if isinstance(self.owner, Session) else None

    def frame(self, message: bytes) -> bytes:
        """Return the data frame that carries a broadcast's message to this identifier."""
        return text_frame(self.prefix + message + b"}")


@dataclass(slots=True, eq=False)
class Connection:
    """One socket; an identifier that failed stays registered with None, so it is ignored as a duplicate ever after."""

    socket: Socket
    subscriptions: dict[str, Subscription | None] = field(default_factory=dict)
    joined: set[Subscription] = field(default_factory=set)


class Cable:
    """All connections of the server, and the streams that broadcasts go to."""

    def __init__(self, store: Store, presence: Presence, pipeline: Pipeline, faults: Faults, dialect: Dialect) -> None:
        self._dialect = dialect
        self._store = store
        self._presence = presence
        self._pipeline = pipeline
        self._faults = faults
        self.connections: set[Connection] = set()
        self._streams: dict[str, list[Subscription]] = {}
        self._ticker: gevent.Greenlet | None = None
        self._actions: dict[str, Callable[[Connection, str, Any], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "message": self._perform,
        }

    def start(self) -> None:
        """Start the one ticker that pings every socket."""
        self._ticker = gevent.spawn(self._tick)

    def stop(self) -> None:
        """Drop every TCP connection, as the end of a server process does."""
        if self._ticker:
            self._ticker.kill()
        self.cut()

    def cut(self) -> int:
        """Drop every TCP connection; returns how many there were."""
        held = list(self.connections)
        for connection in held:
            connection.socket.cut()
        return len(held)

    def restart(self, *, come_back: bool = True) -> int:
        """Send every socket away in good order, as a reload of the code does, perhaps for good; returns how many there were."""
        held = list(self.connections)
        for connection in held:
            connection.socket.write(GO_AND_COME_BACK if come_back else GO_FOR_GOOD)
            connection.socket.close()
        return len(held)

    def close(self) -> int:
        """Send every socket a close frame and not a word of Action Cable's, as a proxy that goes away does; returns how many there were."""
        held = list(self.connections)
        for connection in held:
            connection.socket.close(GOING_AWAY)
        return len(held)

    def silence(self) -> None:
        """Make a black hole of every socket there is."""
        for connection in self.connections:
            connection.socket.silence()

    def subscriptions(self) -> int:
        """Return how many identifiers are confirmed."""
        return sum(sum(1 for each in c.subscriptions.values() if each) for c in self.connections)

    def serve(self, socket: Socket) -> None:
        """Serve one socket until it ends."""
        connection = Connection(socket)
        self.connections.add(connection)
        try:
            socket.write(WELCOME)
            while (text := socket.receive()) is not None and not socket.silent:
                if isinstance(text, str):
                    self._pipeline.command(lambda text=text: self._command(connection, text))  # type: ignore[misc]
            if socket.silent:
                socket.swallow()
        finally:
            self.connections.discard(connection)
            for subscription in connection.joined:
                while self._leave(subscription):
                    pass
            socket.end()

    def publish(self, stream: str, message: bytes) -> None:
        """Write a broadcast's message to every subscription of a stream, the frame of each identifier made once."""
        if self._faults.deaf:
            return
        made: dict[bytes, bytes] = {}
        for subscription in self.listeners(stream):
            frame = made.get(subscription.prefix)
            if frame is None:
                frame = made[subscription.prefix] = subscription.frame(message)
            subscription.connection.socket.write(frame)

    def tell_everybody(self, message: bytes) -> int:
        """Write a message to every subscription, whoever it is for; returns how many there are."""
        everybody = {subscription for subscriptions in self._streams.values() for subscription in subscriptions}
        for subscription in everybody:
            subscription.connection.socket.write(subscription.frame(message))
        return len(everybody)

    def listeners(self, stream: str) -> list[Subscription]:
        """Return the subscriptions of a stream that a frame can still be written to, one that joined twice twice."""
        return [each for each in self._streams.get(stream, ()) if not each.connection.socket.closed]

    def strangers(self, session: Session) -> list[Subscription]:
        """Return the subscriptions of customers other than a session's contact, in a stable order."""
        return [
            each
            for subscriptions in self._streams.values()
            for each in subscriptions
            if each.customer and each.customer.contact is not session.contact and not each.connection.socket.silent
        ]

    def _tick(self) -> None:
        due = clock.now()
        while True:
            due += PING_S
            gevent.sleep(max(0.0, due - clock.now()))
            frame = text_frame(b'{"type":"ping","message":%d}' % (clock.unix_us() // 1_000_000))
            for connection in list(self.connections):
                connection.socket.write(frame)

    def _command(self, connection: Connection, text: str) -> None:
        try:
            command = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return
        if not isinstance(command, dict) or connection not in self.connections or connection.socket.silent:
            return
        word, identifier = command.get("command"), command.get("identifier")
        action = self._actions.get(word) if isinstance(word, str) else None
        if action and isinstance(identifier, str):
            try:
                action(connection, identifier, command.get("data"))
            except Exception:  # noqa: BLE001 - as in Rails, a command that breaks is logged and the socket stays open
                _log.exception("a cable command failed")

    def _subscribe(self, connection: Connection, identifier: str, data: Any) -> None:
        if identifier in connection.subscriptions:
            return
        params = _object(identifier)
        if params is None or params.get("channel") != "RoomChannel":
            return
        owner = self._owner(params)
        connection.subscriptions[identifier] = None
        if owner is None and not self._dialect.validates_first:
            self._overhear(connection, identifier, params)
        if owner is None or self._faults.unconfirmed() or (self._faults.deaf and owner.pubsub_token not in self._streams):
            return
        streams: tuple[str, ...] = (owner.pubsub_token,)
        if isinstance(owner, User) and self._dialect.has_account_stream:
            streams += (f"account_{ACCOUNT}",)
        subscription = Subscription(connection, owner, b'{"identifier":' + encode(identifier) + b',"message":', streams)
        connection.subscriptions[identifier] = subscription
        self._join(subscription)
        connection.socket.write(text_frame(b'{"identifier":' + encode(identifier) + b',"type":"confirm_subscription"}'))
        self._show_presence(owner)

    def _owner(self, params: dict[str, Any]) -> Session | User | None:
        token = params.get("pubsub_token")
        if not isinstance(token, str):
            return None
        if params.get("user_id") in (None, "", False):
            return self._store.session_on_cable(token)
        user = self._store.user_on_cable(token)
        same = user is not None and str(params["user_id"]) == str(user.id)
        return user if same and str(params.get("account_id")) == str(ACCOUNT) else None

    def _overhear(self, connection: Connection, identifier: str, params: dict[str, Any]) -> None:
        """Join the stream of a token whose holder was not named rightly, without a word, as the older dialect does."""
        token = str(params.get("pubsub_token"))
        holder = self._store.session_on_cable(token) or self._store.user_on_cable(token)
        if holder:
            self._join(Subscription(connection, holder, b'{"identifier":' + encode(identifier) + b',"message":', (token,)))

    def _join(self, subscription: Subscription) -> None:
        subscription.connection.joined.add(subscription)
        for stream in subscription.streams:
            self._streams.setdefault(stream, []).append(subscription)

    def _leave(self, subscription: Subscription) -> bool:
        """Take a subscription off its streams once; one that joined twice stays there once. Returns whether it was there."""
        there = False
        for stream in subscription.streams:
            held = self._streams.get(stream, [])
            if subscription in held:
                held.remove(subscription)
                there = True
            if not held:
                self._streams.pop(stream, None)
        return there

    def _unsubscribe(self, connection: Connection, identifier: str, data: Any) -> None:
        subscription = connection.subscriptions.pop(identifier, None)
        if subscription:
            self._leave(subscription)
            if subscription not in self._streams.get(subscription.streams[0], ()):
                connection.joined.discard(subscription)

    def _perform(self, connection: Connection, identifier: str, data: Any) -> None:
        subscription = connection.subscriptions.get(identifier)
        params = _object(data) if isinstance(data, str) else None
        if subscription is None or params is None:
            return
        if params.get("action") == "subscribed":  # callable by accident on the real server: it doubles the streams
            self._join(subscription)
        elif params.get("action") != "update_presence":
            return
        self._show_presence(subscription.owner)

    def _show_presence(self, owner: Session | User) -> None:
        """Refresh somebody's presence and tell their own token, hence all their sockets."""
        data: dict[str, Any] = {"account_id": ACCOUNT}
        if isinstance(owner, User):
            self._presence.refresh_user(owner)
            data |= {"users": self._presence.users(), "contacts": self._presence.contacts()}
        else:
            self._presence.refresh_contact(owner.contact)
            data["users"] = self._presence.users()
        self.publish(owner.pubsub_token, encode({"event": "presence.update", "data": data}))


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return value if isinstance(value, dict) else None
