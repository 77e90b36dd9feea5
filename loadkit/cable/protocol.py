"""Action Cable on one socket with one subscription, sans I/O: frames, time and commands in, happenings out.

What may follow what is `TRANSITIONS`. The machine never reads a clock, never blocks and holds no socket; every time is an integer
of monotonic microseconds given by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from loadkit.cable import frames
from loadkit.cable.happenings import (
    Confirmed,
    Deaf,
    Disconnected,
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
from loadkit.errors import LocalProtocolError

__all__ = ["PRESENCE_EVENT", "TRANSITIONS", "Input", "Machine", "State"]

PRESENCE_EVENT: Final = "presence.update"
_PRESENCE_ACTION: Final = "update_presence"
_STALE_US: Final = 6_000_000  # the stock client's limit: two pings of every 3 s missed
_NEVER: Final = 1 << 62


class State(Enum):
    """Where a socket stands."""

    CONNECTING = auto()
    OPEN = auto()
    WELCOMED = auto()
    SUBSCRIBING = auto()
    CONFIRMED = auto()
    REJECTED = auto()
    CLOSED = auto()


class Input(Enum):
    """What can happen to it: said by the server, done by us, or brought by time."""

    WELCOME = auto()
    PING = auto()
    CONFIRM = auto()
    REJECT = auto()
    DISCONNECT = auto()
    DATA = auto()
    UNKNOWN = auto()
    OPENED = auto()
    SUBSCRIBE = auto()
    PERFORM = auto()
    CLOSE = auto()
    EXPIRE = auto()
    STALE = auto()


_I, _S = Input, State
_ANY_TIME = {_I.DISCONNECT: _S.CLOSED, _I.CLOSE: _S.CLOSED}
_LIVE = _ANY_TIME | {_I.STALE: _S.CLOSED}

TRANSITIONS: Final[Mapping[State, Mapping[Input, State]]] = {
    _S.CONNECTING: {_I.OPENED: _S.OPEN, _I.CLOSE: _S.CLOSED},
    _S.OPEN: _ANY_TIME | {_I.WELCOME: _S.WELCOMED, _I.PING: _S.OPEN, _I.UNKNOWN: _S.OPEN, _I.EXPIRE: _S.CLOSED},
    _S.WELCOMED: _LIVE | {_I.SUBSCRIBE: _S.SUBSCRIBING, _I.PING: _S.WELCOMED, _I.UNKNOWN: _S.WELCOMED},
    # The stream is joined before the confirmation is sent, so events may come first.
    _S.SUBSCRIBING: _LIVE
    | {
        _I.CONFIRM: _S.CONFIRMED,
        _I.REJECT: _S.REJECTED,
        _I.DATA: _S.SUBSCRIBING,
        _I.PING: _S.SUBSCRIBING,
        _I.UNKNOWN: _S.SUBSCRIBING,
        _I.EXPIRE: _S.CLOSED,
    },
    # A second confirmation is a rare race of the real server and harmless.
    _S.CONFIRMED: _LIVE
    | {
        _I.CONFIRM: _S.CONFIRMED,
        _I.REJECT: _S.REJECTED,
        _I.DATA: _S.CONFIRMED,
        _I.PERFORM: _S.CONFIRMED,
        _I.PING: _S.CONFIRMED,
        _I.UNKNOWN: _S.CONFIRMED,
    },
    _S.REJECTED: _LIVE | {_I.PING: _S.REJECTED, _I.UNKNOWN: _S.REJECTED},
    _S.CLOSED: {_I.CLOSE: _S.CLOSED},
}

_INPUTS: Final[Mapping[type, Input]] = {
    frames.Welcome: Input.WELCOME,
    frames.Ping: Input.PING,
    frames.Confirm: Input.CONFIRM,
    frames.Reject: Input.REJECT,
    frames.Disconnect: Input.DISCONNECT,
    frames.Data: Input.DATA,
    frames.Unknown: Input.UNKNOWN,
}


class Machine:
    """One socket's conversation. `phase` in [0, 1) spreads the first `update_presence` over the period; 0 `presence_us` means never.

    `heard_us` is the stamp of the last frame of any kind; whoever hands out frames without decoding them sets it.
    """

    __slots__ = (
        "_asked_us",
        "_confirm_us",
        "_deaf",
        "_expires_us",
        "_phase",
        "_pinged_us",
        "_presence_due_us",
        "_presence_us",
        "_started_us",
        "_subscribed_us",
        "_welcome_us",
        "heard_us",
        "identifier",
        "state",
    )

    def __init__(
        self,
        identifier: str,
        *,
        now_us: int,
        welcome_within_us: int = 10_000_000,
        confirm_within_us: int = 10_000_000,
        presence_us: int = 20_000_000,
        phase: float = 0.5,
    ) -> None:
        self.identifier = identifier
        self.state = State.CONNECTING
        self.heard_us = now_us
        self._started_us = now_us
        self._welcome_us = welcome_within_us
        self._expires_us = now_us + welcome_within_us
        self._confirm_us = confirm_within_us
        self._presence_us = presence_us
        self._phase = phase
        self._pinged_us: int | None = None
        self._subscribed_us = now_us
        self._presence_due_us = _NEVER
        self._asked_us: int | None = None
        self._deaf = False

    # What we do.

    def opened(self, began_us: int) -> None:
        """Await the welcome on a connection begun then. Raises LocalProtocolError, as all commands do out of turn."""
        self._step(Input.OPENED)
        self._started_us, self._expires_us = began_us, began_us + self._welcome_us

    def subscribe(self, now_us: int) -> Happenings:
        """Return the subscribe command; allowed once, after the welcome."""
        self._step(Input.SUBSCRIBE)
        self._subscribed_us, self._expires_us = now_us, now_us + self._confirm_us
        return (Say(frames.subscribe(self.identifier)),)

    def perform(self, action: str, now_us: int) -> Happenings:
        """Return the command that calls an action of the channel; allowed while confirmed."""
        self._step(Input.PERFORM)
        if action == _PRESENCE_ACTION and self._asked_us is None:
            self._asked_us = now_us
        return (Say(frames.perform(self.identifier, action)),)

    def close(self) -> None:
        """Be done; everything that is still heard or asked is ignored from here on."""
        self._step(Input.CLOSE)

    def _step(self, event: Input) -> None:
        after = TRANSITIONS[self.state].get(event)
        if after is None:
            raise LocalProtocolError(f"a cable that is {self.state.name.lower()} cannot {event.name.lower()}")
        self.state = after

    # What the server says.

    def receive(self, frame: frames.Frame, at_us: int) -> Happenings:
        """Return what a frame with receive stamp `at_us` brings about; never raises for what a server says."""
        if self.state is State.CLOSED:
            return ()
        self.heard_us = at_us
        if isinstance(frame, frames.Confirm | frames.Reject | frames.Data) and frame.identifier != self.identifier:
            return (RemoteError("foreign_identifier", "a frame for a subscription that this socket does not have"),)
        event = _INPUTS[type(frame)]
        before, after = self.state, TRANSITIONS[self.state].get(event)
        if after is None:
            return (RemoteError(f"unexpected_{event.name.lower()}", f"while {before.name.lower()}"),)
        self.state = after
        return self._said(frame, before, at_us)

    def _said(self, frame: frames.Frame, before: State, at_us: int) -> Happenings:
        match frame:
            case frames.Ping():
                return self.ping(at_us)
            case frames.Data():
                return self.presence(at_us) if frame.event == PRESENCE_EVENT else ()
            case frames.Welcome():
                return (Welcomed(at_us - self._started_us),)
            case frames.Confirm() if before is not State.CONFIRMED:
                self._presence_due_us = at_us + self._first_presence_us() if self._presence_us else _NEVER
                return (Confirmed(at_us, at_us - self._subscribed_us),)
            case frames.Reject():
                return (Rejected(),)
            case frames.Disconnect():
                return (Disconnected(frame.reason, frame.reconnect),)
        return ()

    def _first_presence_us(self) -> int:
        # Never at once: the subscription's own presence.update comes just behind the confirmation and would pass for the echo.
        return int(self._presence_us * (0.25 + 0.75 * self._phase))

    def ping(self, at_us: int) -> Happenings:
        """Return what a ping brings about: the same as `receive` with its frame, for a caller that recognised it undecoded."""
        self.heard_us = at_us
        before, self._pinged_us = self._pinged_us, at_us
        return () if before is None else (PingGap(at_us - before),)

    def presence(self, at_us: int) -> Happenings:
        """Return what a `presence.update` brings about: the echo of the oldest `update_presence` that waits for one."""
        self.heard_us = at_us
        asked = self._asked_us
        if asked is None or at_us < asked:
            return ()
        self._asked_us, self._deaf = None, False
        return (PresenceEcho(at_us - asked),)

    # What time brings.

    @property
    def due_us(self) -> int:
        """When `tick` may next have something to say; what is heard meanwhile can only move it back."""
        if self.state in (State.OPEN, State.CONNECTING):
            return self._expires_us
        if self.state is State.CLOSED:
            return _NEVER
        due = self.heard_us + _STALE_US
        if self.state is State.SUBSCRIBING:
            return min(due, self._expires_us)
        return min(due, self._presence_due_us, self._deaf_us) if self.state is State.CONFIRMED else due

    @property
    def _deaf_us(self) -> int:
        if self._asked_us is None or self._pinged_us is None or self._deaf or not self._presence_us:
            return _NEVER
        return self._asked_us + 2 * self._presence_us

    def tick(self, now_us: int) -> Happenings:
        """Return what has become due by `now_us`; everything received by then must have been told first."""
        state, table = self.state, TRANSITIONS[self.state]
        if Input.EXPIRE in table and now_us >= self._expires_us:
            self._step(Input.EXPIRE)
            return (Unwelcomed(),) if state is State.OPEN else (Unconfirmed(),)
        if Input.STALE in table and now_us >= self.heard_us + _STALE_US:
            self._step(Input.STALE)
            return (Stale(),)
        return self._presence_tick(now_us) if state is State.CONFIRMED else ()

    def _presence_tick(self, now_us: int) -> Happenings:
        happenings: Happenings = ()
        if now_us >= self._deaf_us:
            self._deaf = True
            happenings = (Deaf(),)
        if now_us >= self._presence_due_us:
            self._presence_due_us = now_us + self._presence_us
            happenings += self.perform(_PRESENCE_ACTION, now_us)
        return happenings
