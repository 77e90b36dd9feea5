"""What tests of every room need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def eventually(fn: Callable[[], T], *, within: float = 5.0, every: float = 0.005) -> T:
    """Return `fn()` as soon as it is truthy; AssertionError with its last value after `within` seconds. Lets gevent's hub run."""
    deadline = time.monotonic() + within
    while not (value := fn()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; last value: {value!r}")
        gevent.sleep(every)
    return value
