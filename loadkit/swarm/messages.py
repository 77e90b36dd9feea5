"""What loadkit's master and workers say to each other, over Locust's own connection and in its order.

Intervals ride in Locust's report, every three seconds and once more at the end, so they precede the word that all is done.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from loadkit.measure.recorder import Interval

__all__ = [
    "ANSWERS",
    "CLOSE",
    "CLOSED",
    "DRAIN",
    "DRAINED",
    "FOREIGN",
    "HERE",
    "LEAVING",
    "LEFT",
    "MISROUTED",
    "PLACES",
    "SHARES",
    "TO_MASTER",
    "UNABLE",
    "pack",
    "unpack",
]

PLACES: Final = "loadkit_places"
"""The option by which a worker learns its place: it rides in Locust's `spawn`, ahead of the worker's `test_start`."""

# To a worker.
DRAIN: Final = "loadkit.drain"
CLOSE: Final = "loadkit.close"
SHARES: Final = "loadkit.shares"
MISROUTED: Final = "loadkit.misrouted"

# To the master.
HERE: Final = "loadkit.here"
UNABLE: Final = "loadkit.unable"
DRAINED: Final = "loadkit.drained"
CLOSED: Final = "loadkit.closed"
LEAVING: Final = "loadkit.leaving"
LEFT: Final = "loadkit.left"
FOREIGN: Final = "loadkit.foreign"

TO_MASTER: Final = (HERE, UNABLE, DRAINED, CLOSED, LEAVING, LEFT, FOREIGN)

ANSWERS: Final = {DRAIN: DRAINED, CLOSE: CLOSED}

_REPORT: Final = "loadkit"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Interval).decode


def pack(report: dict[str, Any], intervals: list[Interval]) -> None:
    """Put intervals into a report of Locust's."""
    report[_REPORT] = [_encode(interval) for interval in intervals]


def unpack(report: dict[str, Any]) -> list[Interval]:
    """Return the intervals of a report, none where it carries none. Raises msgspec.ValidationError for what is none of ours."""
    return [_decode(packed) for packed in report.get(_REPORT, ())]
