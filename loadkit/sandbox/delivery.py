"""The last step of a message to its customer: write the frame, or do to it what the reply's fault says, and tell the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gevent

from loadkit.sandbox.cable import Cable, Subscription
from loadkit.sandbox.faults import Drawn, Faults
from loadkit.sandbox.rows import Session
from loadkit.sandbox.truth import Attempt

__all__ = ["Delivery", "Parcel"]


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """A `message.created` on its way to a customer: `attempt` and `drawn` only where it is an agent's reply."""

    session: Session
    conversation: int
    streams: tuple[str, ...]
    message: bytes
    attempt: Attempt | None = None
    drawn: Drawn | None = None


class Delivery:
    """Delivers parcels; holds those that are delayed or wait to be overtaken."""

    def __init__(self, cable: Cable, faults: Faults) -> None:
        self._cable = cable
        self._faults = faults
        self._overtaken: dict[int, list[Parcel]] = {}
        self._timers: set[gevent.Greenlet] = set()
        self._ways: dict[str, Callable[[Parcel, list[Subscription]], bool]] = {
            "drop": lambda parcel, listeners: True,
            "duplicate": self._duplicate,
            "swap": self._swap,
            "delay": self._delay,
            "misroute": self._misroute,
            "disconnect": self._disconnect,
            "dribble": self._dribble,
            "black_hole": self._black_hole,
        }

    def stop(self) -> None:
        """Forget what is held back."""
        gevent.killall(list(self._timers))

    def deliver(self, parcel: Parcel) -> None:
        """Write a parcel's frames as its fault allows; afterwards those that it was to overtake."""
        listeners = self._listeners(parcel)
        if parcel.attempt is None:
            if not self._faults.deaf and listeners:
                self._write(parcel, listeners)
                self._release(parcel)
            return
        parcel.attempt.fault = self._fault(parcel, listeners)
        if parcel.attempt.fault is None:
            self._write(parcel, listeners)
            self._release(parcel)
        parcel.attempt.done()

    def _listeners(self, parcel: Parcel) -> list[Subscription]:
        return [each for stream in parcel.streams for each in self._cable.listeners(stream)]

    def _fault(self, parcel: Parcel, listeners: list[Subscription]) -> str | None:
        """Return what was done to a reply instead of the plain writing of it; None if nothing was."""
        drawn = parcel.drawn
        if self._faults.deaf or (not listeners and (drawn is None or drawn.name != "drop")):
            if drawn:
                self._faults.give_back(drawn)
            return "deaf" if self._faults.deaf else "no_socket"
        if listeners and all(each.connection.socket.silent for each in listeners):
            if drawn:
                self._faults.give_back(drawn)
            return "in_black_hole"
        if drawn is None:
            return None
        if self._ways[drawn.name](parcel, listeners):
            return drawn.name
        self._faults.give_back(drawn)
        return None

    def _write(self, parcel: Parcel, listeners: list[Subscription], *, over_s: float = 0.0) -> None:
        for subscription in listeners:
            told = None
            if parcel.attempt and subscription.customer:
                parcel.attempt.expect()
                told = partial(parcel.attempt.wrote, subscription.customer.source_id)
            frame, peer = subscription.frame(parcel.message), subscription.connection.socket
            if over_s:
                peer.dribble(frame, over_s, told)
            else:
                peer.write(frame, told)

    def _duplicate(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        self._write(parcel, listeners)
        self._write(parcel, listeners)
        self._release(parcel)
        return True

    def _misroute(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        strangers = self._cable.strangers(parcel.session)
        if not strangers:
            return False
        self._write(parcel, [strangers[self._faults.choose(len(strangers))]])
        return True

    def _disconnect(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        for subscription in listeners:
            subscription.connection.socket.cut()
        return True

    def _black_hole(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        for subscription in listeners:
            subscription.connection.socket.silence()
        return True

    def _dribble(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        if parcel.attempt and parcel.drawn:
            parcel.attempt.hold()
            self._write(parcel, listeners, over_s=parcel.drawn.wait_s)
            self._release(parcel)
        return True

    def _delay(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        self._hold(parcel, self._late)
        return True

    def _swap(self, parcel: Parcel, listeners: list[Subscription]) -> bool:
        self._overtaken.setdefault(parcel.conversation, []).append(parcel)
        self._hold(parcel, self._not_overtaken)
        return True

    def _hold(self, parcel: Parcel, then: Callable[[Parcel], None]) -> None:
        if parcel.attempt and parcel.drawn:
            parcel.attempt.expect()
            parcel.attempt.hold()
            timer = gevent.spawn_later(parcel.drawn.wait_s, then, parcel)
            self._timers.add(timer)
            timer.link(self._timers.discard)

    def _late(self, parcel: Parcel) -> None:
        """Write what was held, to whoever listens now."""
        if not self._faults.deaf:
            self._write(parcel, self._listeners(parcel))
        if parcel.attempt:
            parcel.attempt.done()

    def _not_overtaken(self, parcel: Parcel) -> None:
        held = self._overtaken.get(parcel.conversation, [])
        if parcel not in held:
            return
        held.remove(parcel)
        if not held:
            del self._overtaken[parcel.conversation]
        if parcel.attempt:
            parcel.attempt.fault = "delay"
        self._late(parcel)

    def _release(self, overtaker: Parcel) -> None:
        """Write the held frames that this one has now overtaken."""
        for parcel in self._overtaken.pop(overtaker.conversation, ()):
            self._late(parcel)
