"""What tests of every room need."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let this process open nothing more, for a moment; what is open stays so."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
