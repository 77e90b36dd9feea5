"""Doing a thing once however many ask for it: Locust stops a run twice when a signal meets its end."""

from __future__ import annotations

from collections.abc import Callable

import gevent

__all__ = ["Once"]


class Once:
    """A deed that the first call begins, in a greenlet of its own, and every call waits for. Its exception goes to `on_failure`."""

    def __init__(self, deed: Callable[[], None], on_failure: Callable[[gevent.Greenlet], None]) -> None:
        self._deed, self._on_failure = deed, on_failure
        self._greenlet: gevent.Greenlet | None = None

    @property
    def begun(self) -> bool:
        """Whether somebody has asked."""
        return self._greenlet is not None

    def __call__(self) -> None:
        """Begin, if nobody has, and wait for the end."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._deed)
            self._greenlet.link_exception(self._on_failure)
        self._greenlet.join()
