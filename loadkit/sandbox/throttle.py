"""The throttles in front of everything: so many requests a minute from one address, handshakes of the cable among them, and so many
searches for contacts a minute in an account.

Windows are fixed and aligned to the epoch. Off unless a limit is given; the real server's is 3000, its older releases' 300.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from loadkit import clock
from loadkit.errors import SettingsError

__all__ = ["Throttle"]

WINDOW_US = 60_000_000
SAFE = ("127.0.0.1", "::1")
SEARCHES = 100

_SEARCH = re.compile(r"/api/v1/accounts/(\d+)/contacts/search(?:\.[^/.]+)?/?")


class Throttle:
    """Counts per address; `limit` requests a window pass, None limits nothing. `safe` lets the loopback addresses pass always."""

    def __init__(self, limit: int | None, *, safe: bool = True) -> None:
        if limit is not None and limit < 1:
            raise SettingsError("a throttle lets at least one request a minute pass")
        self._limit = limit
        self._safe = SAFE if safe else ()
        self._window = 0
        self._seen: dict[str, int] = {}

    def refuses(self, environ: dict[str, Any]) -> bool:
        """Count a request and return whether it is one too many."""
        if self._limit is None:
            return False
        address = client_of(str(environ.get("REMOTE_ADDR", "")), str(environ.get("HTTP_X_FORWARDED_FOR", "")))
        if address in self._safe:
            return False
        window = clock.unix_us() // WINDOW_US
        if window != self._window:
            self._window, self._seen = window, {}
        if self._counted(address) > self._limit:
            return True
        search = _SEARCH.fullmatch(environ.get("loadkit.path", ""))
        return search is not None and self._counted(f"account {search[1]}") > SEARCHES

    def _counted(self, who: str) -> int:
        self._seen[who] = self._seen.get(who, 0) + 1
        return self._seen[who]


def client_of(peer: str, forwarded: str) -> str:
    """Return the client's address: the peer, or behind a private proxy the last public one that was forwarded for, else the first."""
    named = [each.strip() for each in forwarded.split(",") if each.strip()]
    if not named or not _private(peer):
        return peer
    return next((each for each in reversed(named) if not _private(each)), named[0])


def _private(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_private
    except ValueError:
        return False
