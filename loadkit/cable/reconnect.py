"""When a cable that broke comes back: policies by name, each a generator of waits that knows neither clock nor socket.

The `stock-` ones are the monitors of `@rails/actioncable`: a timer looks at the connection now and then, and comes back when it finds
it stale. Until then a drop goes unnoticed, so its first wait is a matter of phases, and never below six seconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from typing import Final

from loadkit.errors import SettingsError

__all__ = ["RECONNECT", "STALE", "ReconnectPolicy", "Waits", "immediate", "policy", "stock_6_1", "stock_7_0"]

Waits = Generator[float, float, object]
"""Yields the seconds from the drop, or from the end of a try that failed, to the next try; is sent how long a try took."""

ReconnectPolicy = Callable[[str], Waits]
"""Called at a drop with its reason, as the watcher is told it."""

STALE: Final = "stale"
"""The reason of a drop that was found out by silence, six seconds after the last frame, the socket still open."""

_STALE_S: Final = 6.0
_PING_S: Final = 3.0
_REOPEN_S: Final = 0.5  # between the closing of a socket that is still open and the next one
_BACKOFF: Final = 0.15


def immediate(reason: str) -> Waits:
    """Come back at once; after failures wait 1 s, doubling to 30 s, jittered down to half."""
    longest = 1.0
    yield 0.0
    while True:
        yield longest * random.uniform(0.5, 1.0)
        longest = min(30.0, 2.0 * longest)


def stock_6_1(reason: str) -> Waits:
    """Come back as the client of Rails 6.1 does, which OneHash Chat's pages use: no jitter but that of the phases.

    A try that hangs lasts as long as the cable's own timeout here; that client would give it up at its next look.
    """
    look = random.uniform(0.0, _interval_6_1(0))
    return _monitor(_interval_6_1, look, silent=reason == STALE)


def stock_7_0(reason: str) -> Waits:
    """Come back as the clients from Rails 7.0 on do: the interval grows by 15 % a look, and each has its jitter."""
    # A drop falls into a long interval more often than into a short one: its length has a density that grows with it.
    interval = _STALE_S * math.sqrt(random.uniform(1.0, 4.0))
    return _monitor(_interval_7_0, random.uniform(0.0, interval), silent=reason == STALE)


def _interval_6_1(attempts: int) -> float:
    return min(30.0, max(3.0, 5.0 * math.log(attempts + 1)))


def _interval_7_0(attempts: int) -> float:
    jitter = random.uniform(0.0, _BACKOFF if attempts else 1.0)
    return _STALE_S * (1.0 + _BACKOFF) ** min(attempts, 10) * (1.0 + jitter)


def _monitor(interval: Callable[[int], float], look: float, *, silent: bool) -> Waits:
    """Look first at `look`, then after intervals that depend on the looks that found it stale; all in seconds since the drop."""
    heard = _STALE_S if silent else random.uniform(0.0, _PING_S)  # this long before the drop
    closed = None if silent else 0.0
    ended, attempts = 0.0, 0
    while True:
        if look + heard > _STALE_S:
            attempts += 1
            # One that closed less than six seconds ago is left alone, though the look has counted; so is a try under way.
            if look >= ended and (closed is None or look - closed >= _STALE_S):
                begun = look + (_REOPEN_S if closed is None else 0.0)
                ended = begun + (yield begun - ended)
                closed = ended if closed is None else closed
        look += interval(attempts)


RECONNECT: Final[dict[str, ReconnectPolicy | None]] = {
    "immediate": immediate,
    "never": None,
    "stock-6.1": stock_6_1,
    "stock-7.0": stock_7_0,
}


def policy(named: str | ReconnectPolicy) -> ReconnectPolicy | None:
    """Return the policy of that name, or the one given; None never comes back. Raises SettingsError."""
    if not isinstance(named, str):
        return named
    if named not in RECONNECT:
        raise SettingsError(f"{named!r} is not a reconnect policy: one of {', '.join(sorted(RECONNECT))}")
    return RECONNECT[named]
