"""Which sockets can be read: one epoll set watched by one watcher of gevent's loop, or, where there is none, a watcher a socket.

Both call `drain(ready, begun_us)` with pairs of descriptor and events, at most `BATCH` of them; gevent's loop is handed in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from loadkit.clock import now_us

__all__ = ["BATCH", "IN", "OUT", "Drain", "EpollSet", "ReadySet", "WatcherSet"]

BATCH: Final = 64
IN: Final = 1
OUT: Final = 4
_READ, _WRITE = 1, 2  # libev's own names for the two

Drain = Callable[[list[tuple[int, int]], int], None]


class ReadySet(Protocol):
    """A set of descriptors to read from, and to write to where that was asked for."""

    def add(self, fd: int) -> None:
        """Begin to watch a descriptor for input."""

    def remove(self, fd: int) -> None:
        """Stop watching it; before it is closed."""

    def want_write(self, fd: int, wanted: bool) -> None:
        """Watch it for room to write as well, or no longer."""

    def sweep(self) -> None:
        """Drain everything that is readable now."""

    def close(self) -> None:
        """Stop watching everything."""


class EpollSet:
    """All sockets behind one descriptor: an idle socket costs nothing and a burst is drained in few turns of the loop."""

    def __init__(self, loop: Any, epoll: Any, drain: Drain) -> None:
        self._epoll = epoll
        self._poll = epoll.poll
        self._drain = drain
        self._watcher = loop.io(epoll.fileno(), _READ)
        self._watcher.start(self._turn)

    def _turn(self) -> int:
        begun = now_us()
        ready = self._poll(0, BATCH)
        if ready:
            self._drain(ready, begun)
        return len(ready)

    def sweep(self) -> None:
        """Drain until a poll is not full; bounded, since a socket that is never empty could hold the hub for ever."""
        for _ in range(1000):
            if self._turn() < BATCH:
                return

    def add(self, fd: int) -> None:
        """Begin to watch a descriptor for input."""
        self._epoll.register(fd, IN)

    def remove(self, fd: int) -> None:
        """Stop watching it."""
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(fd)

    def want_write(self, fd: int, wanted: bool) -> None:
        """Watch it for room to write as well, or no longer."""
        self._epoll.modify(fd, IN | OUT if wanted else IN)

    def close(self) -> None:
        """Stop the watcher and close the set."""
        self._watcher.stop()
        self._watcher.close()
        self._epoll.close()


class WatcherSet:
    """One watcher a socket, for systems without epoll."""

    def __init__(self, loop: Any, drain: Drain) -> None:
        self._loop = loop
        self._drain = drain
        self._readers: dict[int, Any] = {}
        self._writers: dict[int, Any] = {}

    def _ready(self, fd: int, event: int) -> None:
        self._drain([(fd, event)], now_us())

    def _watch(self, fd: int, kind: int, event: int) -> Any:
        watcher = self._loop.io(fd, kind)
        watcher.start(self._ready, fd, event)
        return watcher

    def sweep(self) -> None:
        """Try to read every socket: without epoll, only that tells."""
        for fd in list(self._readers):
            self._ready(fd, IN)

    def add(self, fd: int) -> None:
        """Begin to watch a descriptor for input."""
        self._readers[fd] = self._watch(fd, _READ, IN)

    def remove(self, fd: int) -> None:
        """Stop watching it."""
        for watcher in (self._readers.pop(fd, None), self._writers.pop(fd, None)):
            if watcher is not None:
                watcher.stop()
                watcher.close()

    def want_write(self, fd: int, wanted: bool) -> None:
        """Watch it for room to write as well, or no longer."""
        if wanted and fd not in self._writers:
            self._writers[fd] = self._watch(fd, _WRITE, OUT)
        elif not wanted and (watcher := self._writers.pop(fd, None)) is not None:
            watcher.stop()
            watcher.close()

    def close(self) -> None:
        """Stop every watcher."""
        for fd in list(self._readers):
            self.remove(fd)
