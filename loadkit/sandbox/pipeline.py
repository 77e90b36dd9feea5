"""The queues of the real server: HTTP threads in front, one interpreter lock that a POST holds nearly all its time, cable workers,
and job workers behind. It waits with gevent's timers and burns no CPU; what the work *is* comes in as callables.

One POST takes about 52 ms of which 50 hold the lock, so one process saturates near 18 replies a second whatever the number of threads.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool
from gevent.queue import SimpleQueue

from loadkit import clock
from loadkit.sandbox.service import GET, Kind, Service

__all__ = ["BROADCAST", "DISPATCH", "REBUILD", "STATUS", "Pipeline"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

HELD = 50 / 52  # the share of a POST's time that holds the interpreter lock
SAVED = 0.75  # the share of the held time after which the row is saved and its jobs are queued
CABLE_WORKERS = 4
COMMAND_HELD = 0.7  # the rest of a cable command waits for the database and Redis, so that a later one may overtake it
MOST_COMMANDS = 20_000  # waiting for a cable worker; beyond that sockets are read no further

BROADCAST = Kind(0.004, 0.008)  # payload frozen in the request, published once a recipient
REBUILD = Kind(0.095, 0.120)  # payload read again from the database
DISPATCH = Kind(0.050, 0.075)  # listeners: notifications and the like
STATUS = Kind(0.035, 0.050)  # one message after another becomes read
HANDSHAKE = Kind(0.003, 0.005)
COMMAND = Kind(0.003, 0.006)
PUBLISH_S = 0.00043  # each further recipient of one broadcast


class Pipeline:
    """The queues of one server; everything runs on the hub that calls `start`."""

    def __init__(self, service: Service, *, http_threads: int, jobs: int, seed: int) -> None:
        self._service = service
        self._rng = random.Random(f"pipeline {seed}")
        self._threads = BoundedSemaphore(http_threads)
        self._lock = BoundedSemaphore(1)
        self._cable_workers = BoundedSemaphore(CABLE_WORKERS)
        self._commands = Pool(MOST_COMMANDS)
        self._jobs: SimpleQueue = SimpleQueue()
        self._workers: list[gevent.Greenlet] = []
        self._number = jobs

    def start(self) -> None:
        """Start the job workers."""
        self._workers = [gevent.spawn(self._work) for _ in range(self._number)]

    def stop(self) -> None:
        """End the job workers; what is still queued is not done."""
        gevent.killall(self._workers)
        self._commands.kill()

    def serve(self, method: str, action: Callable[[], _T]) -> tuple[_T, int]:
        """Return the action's result and when its serving began (monotonic microseconds), after queueing and service."""
        if self._service.instant:
            began = clock.now_us()
            result = action()
            if method != "GET":
                gevent.sleep(0)  # lets the jobs just queued run, so that the frame still precedes the answer
            return result, began
        with self._threads:
            began = clock.now_us()
            total = self._service.other(GET, self._rng) if method == "GET" else self._service.post(self._rng)
            with self._lock:
                gevent.sleep(total * HELD * SAVED)
                result = action()
                gevent.sleep(total * HELD * (1 - SAVED))
            gevent.sleep(total * (1 - HELD))
        return result, began

    def handshake(self) -> None:
        """Take the time of a cable's handshake, which needs a thread and the lock like any request."""
        if not self._service.instant:
            with self._threads, self._lock:
                gevent.sleep(self._service.other(HANDSHAKE, self._rng))

    def command(self, action: Callable[[], None]) -> None:
        """Hand a cable command to the cable workers, which keep no order, not even that of one socket."""
        if self._service.instant:
            action()
        else:
            self._commands.spawn(self._on_cable_worker, action)

    def _on_cable_worker(self, action: Callable[[], None]) -> None:
        with self._cable_workers:
            total = self._service.other(COMMAND, self._rng)
            with self._lock:
                gevent.sleep(total * COMMAND_HELD)
            gevent.sleep(total * (1 - COMMAND_HELD))
            action()

    def queue(self, kind: Kind, job: Callable[[], None], *, recipients: int = 1) -> None:
        """Queue a job; it runs after the time that its kind, and each of its recipients, takes."""
        more = PUBLISH_S * recipients if kind is not DISPATCH else 0.0
        self._jobs.put((Kind(kind.median + more, kind.p95 + more), job))

    def _work(self) -> None:
        while True:
            kind, job = self._jobs.get()
            if not self._service.instant:
                gevent.sleep(self._service.other(kind, self._rng))
            try:
                job()
            except Exception:  # noqa: BLE001 - one broken job must not end its worker
                _log.exception("a job failed")
