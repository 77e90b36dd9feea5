"""Guards on libraries, each with its reason and a test that shows the behaviour without it."""

from __future__ import annotations

import resource
import select
from typing import Any

from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool

__all__ = ["apply", "keep_alive_past_1023_files", "raise_open_files"]


def apply() -> None:
    """Apply every guard; doing it again changes nothing."""
    keep_alive_past_1023_files()
    raise_open_files()


def keep_alive_past_1023_files() -> None:
    """Let geventhttpclient see whether an idle connection lives by poll().

    Its own check uses select(), which cannot name a descriptor above 1023: it then takes every connection for dead and opens a new one
    for each request, silently.
    """
    ConnectionPool._is_socket_alive = _is_socket_alive  # type: ignore[method-assign, assignment]


def _is_socket_alive(_: ConnectionPool, sock: Any) -> bool:
    try:
        descriptor = sock.fileno()
        if descriptor < 0:
            return False
        poll = get_original("select", "poll")()
        poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)
    except (AttributeError, OSError, ValueError):
        return False


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one, since every customer holds two; return the limit. Locust stops at 10,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
