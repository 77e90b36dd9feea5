"""The two pipes between a loadkit and what it starts: a lifeline down, which ends when the parent does, and a run's progress up.

Their descriptors are named in the environment, so that plain `locust -f …`, which has no parent, does without them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LIFELINE", "PROGRESS", "has_parent", "held", "is_cut", "lifeline", "tell"]

LIFELINE = "LOADKIT_LIFELINE"
PROGRESS = "LOADKIT_PROGRESS"


def has_parent() -> bool:
    """Whether a parent reads our progress."""
    return bool(os.environ.get(PROGRESS))


def tell(message: dict[str, Any]) -> None:
    """Tell the parent, if there is one; a parent that does not read or is gone misses it."""
    number = os.environ.get(PROGRESS)
    if number:
        try:
            os.write(int(number), (json.dumps(message) + "\n").encode())
        except OSError:
            return


@contextmanager
def held() -> Iterator[int]:
    """Hold a lifeline; yield the descriptor for children. It is cut when this ends, or our process, however it ends."""
    theirs, ours = os.pipe()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def lifeline() -> int | None:
    """Return the descriptor, not blocking, that becomes readable when the parent is gone; None where there is no parent."""
    number = os.environ.get(LIFELINE)
    if not number:
        return None
    os.set_blocking(int(number), False)
    return int(number)


def is_cut(descriptor: int) -> bool:
    """Whether the readable lifeline says that the parent is gone: the other end of the pipe lived in it alone."""
    return os.read(descriptor, 1) == b""
