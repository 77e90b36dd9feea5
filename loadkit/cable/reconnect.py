"""When a cable that broke comes back: policies by name, each a pure function of the attempts that failed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from loadkit.errors import SettingsError

__all__ = ["RECONNECT", "ReconnectPolicy", "immediate", "policy"]

ReconnectPolicy = Callable[[int], float]
"""From the number of attempts that failed since the drop (0 at first) to the seconds to wait before the next one."""


def immediate(failed: int) -> float:
    """Come back at once; after failures wait 1 s, doubling to 30 s, jittered down to half."""
    return 0.0 if failed == 0 else min(30.0, 2.0 ** min(failed - 1, 10)) * random.uniform(0.5, 1.0)


RECONNECT: Final[dict[str, ReconnectPolicy | None]] = {"immediate": immediate, "never": None}


def policy(named: str | ReconnectPolicy) -> ReconnectPolicy | None:
    """Return the policy of that name, or the one given; None never comes back. Raises SettingsError."""
    if not isinstance(named, str):
        return named
    if named not in RECONNECT:
        raise SettingsError(f"{named!r} is not a reconnect policy: one of {', '.join(sorted(RECONNECT))}")
    return RECONNECT[named]
