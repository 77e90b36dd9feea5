"""One cable's life: connect, be welcomed, subscribe, be confirmed, hold, notice the drop, come back.

The socket is made here and then held by the receiver; between the two this greenlet only waits. What happens is told to a
`Watcher`. The identifier is a secret: no text, log line or error of this module holds it.
"""

from __future__ import annotations

import _socket
import random
import re
from collections.abc import Iterable
from typing import Any, Final

import gevent
from gevent import socket as sockets
from gevent.event import AsyncResult
from gevent.ssl import SSLContext

from loadkit.cable.handshake import Endpoint, reach, upgrade
from loadkit.cable.happenings import (
    Confirmed,
    Deaf,
    Disconnected,
    Happening,
    Happenings,
    PingGap,
    PresenceEcho,
    Rejected,
    RemoteError,
    Say,
    Stale,
    Unconfirmed,
    Unwelcomed,
    Welcomed,
)
from loadkit.cable.link import Link
from loadkit.cable.protocol import Machine, State
from loadkit.cable.receiver import Receiver
from loadkit.cable.reconnect import STALE, ReconnectPolicy, Waits, policy
from loadkit.cable.watcher import Watcher
from loadkit.clock import now_us
from loadkit.errors import AnswerError, LoadkitError, LocalProtocolError, RemoteProtocolError, TransportError

__all__ = ["Cable", "Watcher"]

_GRACE_S: Final = 5.0
_REASON: Final = re.compile(r"[a-z_]{1,32}")


class Cable:
    """A subscription and the sockets that carry it, one after another.

    `watcher` is told what happens, `tag` is the owner's to use. Waits are seconds; `presence_every` 0 means never. `reconnect`
    names a policy of `RECONNECT` or is one. `ssl_context` must be gevent's (any made after its patching is).
    """

    __slots__ = (
        "_confirm_timeout",
        "_connect_timeout",
        "_dropped_us",
        "_endpoint",
        "_greenlet",
        "_headers",
        "_link",
        "_machine",
        "_origin",
        "_outcome",
        "_policy",
        "_presence_us",
        "_receiver",
        "_ssl_context",
        "_wanted",
        "_watcher",
        "confirmed_us",
        "drops",
        "identifier",
        "tag",
    )

    def __init__(
        self,
        url: str,
        identifier: str,
        *,
        receiver: Receiver,
        watcher: Watcher,
        tag: Any = None,
        headers: Iterable[str] = (),
        origin: str | None = None,
        ssl_context: SSLContext | None = None,
        connect_timeout: float = 10.0,
        confirm_timeout: float = 10.0,
        presence_every: float = 20.0,
        reconnect: str | ReconnectPolicy = "immediate",
    ) -> None:
        self.identifier = identifier
        self.tag = tag
        self.drops = 0
        """How often a confirmed subscription was lost, our own closing aside."""
        self.confirmed_us: int | None = None
        """The receive stamp of the present confirmation, None while there is none."""
        self._endpoint = Endpoint.of(url)
        self._receiver = receiver
        self._watcher = watcher
        self._headers = tuple(headers)
        self._origin = origin
        self._ssl_context = ssl_context
        self._connect_timeout = connect_timeout
        self._confirm_timeout = confirm_timeout
        self._presence_us = round(presence_every * 1e6)
        self._policy = policy(reconnect)
        self._wanted = False
        self._machine: Machine | None = None
        self._link: Link | None = None
        self._outcome: AsyncResult | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._dropped_us: int | None = None

    def __repr__(self) -> str:
        return f"<Cable {self._endpoint.host}:{self._endpoint.port} {self.state.name.lower()}>"

    @property
    def state(self) -> State:
        """Where its present socket stands; CLOSED while there is none."""
        return State.CLOSED if self._machine is None else self._machine.state

    @property
    def is_open(self) -> bool:
        """Whether a welcomed socket stands."""
        return self.state in (State.WELCOMED, State.SUBSCRIBING, State.CONFIRMED, State.REJECTED)

    @property
    def is_confirmed(self) -> bool:
        """Whether its subscription is confirmed now."""
        return self.state is State.CONFIRMED

    def open(self) -> None:
        """Block this greenlet until the subscription is confirmed.

        Raises TransportError (`unreachable`, `shortage`, `timeout`, `cut`, `unconfirmed`), AnswerError for any answer but 101,
        RemoteProtocolError (`bad_handshake`, `rejected`, …); then nothing is left behind, and it may be tried again.
        """
        if self._wanted:
            raise LocalProtocolError("this cable was opened already")
        self._wanted, self._dropped_us = True, None
        try:
            self._attempt()
        except BaseException:
            self.close()
            raise

    def perform(self, action: str) -> None:
        """Call an action of the channel, e.g. `update_presence`. Raises LocalProtocolError unless confirmed."""
        if self._machine is None:
            raise LocalProtocolError("a cable that is closed cannot perform")
        self.happened(self._machine.perform(action, now_us()))

    def cut(self) -> bool:
        """Break the socket without a word, as a network does; it comes back by its policy. Return whether there was one to break."""
        link = self._link
        if link is None or not self.is_confirmed:
            return False
        self._receiver.lose(link, "cut_on_purpose")
        return True

    def close(self) -> None:
        """Close at once and for good; never blocks. A greenlet that waits in `open` gets a TransportError."""
        self._wanted = False
        self._let_go()
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None and greenlet is not gevent.getcurrent():
            greenlet.kill(block=False)
        self._settle(TransportError("cut", "the cable was closed"))

    def _let_go(self) -> None:
        link, self._link, self._machine, self.confirmed_us = self._link, None, None, None
        if link is not None:
            self._receiver.release(link)

    def _settle(self, error: LoadkitError | None) -> bool:
        """Tell the greenlet that waits for this attempt how it ended; False where none waits."""
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return False
        outcome.set(error)
        return True

    # One attempt.

    def _attempt(self) -> None:
        outcome = self._outcome = AsyncResult()
        self._machine = machine = Machine(
            self.identifier,
            now_us=now_us(),
            welcome_within_us=round(self._connect_timeout * 1e6),
            confirm_within_us=round(self._confirm_timeout * 1e6),
            presence_us=self._presence_us,
            phase=random.random(),
        )
        sock, began_us = self._dial()
        if not self._wanted or self._machine is not machine:
            sock.close()
            raise TransportError("cut", "the cable was closed")
        machine.opened(began_us)
        self._link = self._receiver.adopt(sock, self, machine, self._watcher.marked, since_us=began_us, tls=self._endpoint.tls)
        # The machine's own deadlines end this wait; the bound is for a receiver that was closed meanwhile.
        error = outcome.wait(self._connect_timeout + self._confirm_timeout + _GRACE_S)
        if not outcome.ready():
            error = TransportError("timeout", "the receiver did not come to an end")
        if error is not None:
            raise error

    def _dial(self) -> tuple[Any, int]:
        """Return a bare, non-blocking socket on which the upgrade was granted and nothing read since, and when it was begun."""
        sock: Any = None
        endpoint, context = self._endpoint, self._ssl_context
        if endpoint.tls and context is None:
            context = self._receiver.tls_context()
        timer = gevent.Timeout.start_new(self._connect_timeout)
        try:
            sock, began_us = reach(endpoint, sockets, options=self._receiver.socket_options(), context=context)
            upgrade(sock, endpoint, headers=self._headers, origin=self._origin)
            if not endpoint.tls:
                # Out of gevent's hands: its socket would keep two watchers and a wrapper for each cable.
                sock = _socket.socket(fileno=sock.detach())
            sock.setblocking(False)
        except BaseException as error:
            if sock is not None:
                sock.close()
            if error is not timer:
                raise
            kind = "unreachable" if sock is None else "timeout"
            raise TransportError(kind, f"no cable within {self._connect_timeout:g} s") from None
        finally:
            timer.close()
        return sock, began_us

    # What the receiver tells, from the hub.

    def happened(self, happenings: Happenings) -> None:
        """Take what the machine had to tell; see `link.Owner`."""
        for happening in happenings:
            try:
                self._took(happening)
            except Exception as error:  # noqa: BLE001 - a watcher's exception costs its report, not the cable
                self._watcher.failed(self, error)

    def _took(self, happening: Happening) -> None:
        watcher = self._watcher
        match happening:
            case PingGap(gap_us):
                watcher.ping_gap(self, gap_us)
            case Say(text) if self._link is not None:
                self._receiver.send(self._link, text)
            case PresenceEcho(took_us):
                watcher.presence_echo(self, took_us)
            case Welcomed(took_us):
                if self._machine is not None:
                    self.happened(self._machine.subscribe(now_us()))
                watcher.connected(self, took_us)
            case Confirmed(at_us, took_us):
                self._stand(at_us, took_us)
            case Deaf():
                watcher.deaf(self)
            case RemoteError(kind, text):
                watcher.remote_error(self, kind, text)
            case _:
                self._end(happening)

    def _stand(self, at_us: int, took_us: int) -> None:
        self.confirmed_us = at_us
        gap = None if self._dropped_us is None else at_us - self._dropped_us
        self._dropped_us = None
        self._settle(None)
        self._watcher.confirmed(self, took_us, gap)

    def _end(self, happening: Happening) -> None:
        """Give up a socket that its machine gave up."""
        match happening:
            case Unwelcomed():
                self._give_up("unwelcomed", TransportError("timeout", "no welcome within the time allowed"))
            case Unconfirmed():
                self._watcher.unconfirmed(self)
                self._give_up("unconfirmed", TransportError("unconfirmed", "the subscription was never confirmed"))
            case Rejected():
                self._give_up("rejected", RemoteProtocolError("rejected", "the subscription was rejected"))
            case Stale():
                self._give_up(STALE, TransportError("cut", "the server fell silent"))
            case Disconnected(reason, reconnect):
                known = reason if reason and _REASON.fullmatch(reason) else "other"
                error = TransportError("cut", "the server disconnected the cable")
                self._give_up(f"disconnect_{known}", error, come_back=reconnect)

    def _give_up(self, reason: str, error: LoadkitError, *, come_back: bool = True) -> None:
        self._let_go()
        if not self._settle(error):
            self._drop(reason, come_back=come_back)

    def lost(self, reason: str) -> None:
        """Take note that the receiver closed the socket; see `link.Owner`."""
        self._link = self._machine = self.confirmed_us = None
        text = f"the cable broke before it was confirmed: {reason}"
        error = RemoteProtocolError(reason, text) if reason == "protocol_error" else TransportError("cut", text)
        if not self._settle(error):
            self._drop(reason)

    def broke(self, error: Exception) -> None:
        """Take an exception that was raised while a frame of this cable was handled; see `link.Owner`."""
        self._watcher.failed(self, error)

    # Coming back.

    def _drop(self, reason: str, *, come_back: bool = True) -> None:
        if not self._wanted:
            return
        self.drops += 1
        self._dropped_us = now_us()
        if self._policy is None or not come_back:
            self._wanted = False
        else:
            self._greenlet = gevent.spawn(self._come_back, self._policy(reason))
            self._greenlet.link_exception(self._watch)
        try:
            self._watcher.dropped(self, reason)
        except Exception as error:  # noqa: BLE001 - a watcher's exception must not keep the cable from coming back
            self._watcher.failed(self, error)

    def _watch(self, greenlet: gevent.Greenlet) -> None:
        self._watcher.failed(self, greenlet.exception)

    def _come_back(self, waits: Waits) -> None:
        wait, myself = next(waits), gevent.getcurrent()
        while True:
            gevent.sleep(wait)
            began_us = now_us()
            try:
                self._attempt()
            except (AnswerError, RemoteProtocolError, TransportError) as error:
                if self._greenlet is not myself:  # closed meanwhile, perhaps even opened anew
                    return
                wait = waits.send((now_us() - began_us) / 1e6)
                self._let_go()
                self._watcher.remote_error(self, f"reconnect_{error.kind}", str(error))
                if self._greenlet is not myself:
                    return
            else:
                return
