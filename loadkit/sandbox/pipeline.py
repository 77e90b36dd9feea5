"""The queues of the real server: HTTP threads in front, one interpreter lock that a POST holds nearly all its time, cable workers,
and job workers behind. It waits with gevent's timers and burns no CPU; what the work *is* comes in as callables.

One POST takes about 52 ms in the middle and 59 in the mean, and nearly all of it holds the lock, so one process saturates near 17
replies a second whatever the number of threads.
Where nothing holds the lock (`lock=0`) and times are exponential, POSTs meet a textbook's M/M/c of `http_threads` servers.
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
from loadkit.errors import SettingsError
from loadkit.sandbox.pauses import Pauses
from loadkit.sandbox.service import Kind, Service
from loadkit.units import share

__all__ = ["BROADCAST", "DISPATCH", "HELD", "REBUILD", "STATUS", "Pipeline", "held_share"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

HELD = 50 / 52  # the share of a request's time that holds the interpreter lock, from its beginning on
CABLE_WORKERS = 4
COMMAND_HELD = 0.73  # of that; the rest of a cable command waits for the database and Redis, so that a later one may overtake it
MOST_COMMANDS = 20_000  # waiting for a cable worker; beyond that sockets are read no further

BROADCAST = Kind(0.004, 0.008)  # payload frozen in the request, published once a recipient
REBUILD = Kind(0.095, 0.120)  # payload read again from the database
DISPATCH = Kind(0.050, 0.075)  # listeners: notifications and the like
STATUS = Kind(0.035, 0.050)  # one message after another becomes read
HANDSHAKE = Kind(0.0068, 0.011)
COMMAND = Kind(0.004, 0.007)
PUBLISH = Kind(0.00043, 0.00069)  # each recipient of one broadcast


def held_share(text: str | float) -> float:
    """Return the share of a request's time that is to hold the lock, of "0", "0.5" or "50%". Raises SettingsError."""
    value = share(text)
    if value > 1:
        raise SettingsError(f"{text} of a request's time cannot hold the lock: write a share from 0 to 1, or from 0% to 100%")
    return value


class Pipeline:
    """The queues of one server; everything runs on the hub that calls `start`.

    `lock` is the share (0 to 1) of a request's time that holds the one interpreter lock; `pauses` makes what a queue waits with.
    """

    def __init__(
        self,
        service: Service,
        *,
        http_threads: int,
        jobs: int,
        seed: int,
        lock: float = HELD,
        pauses: Callable[[], Pauses] = Pauses,
    ) -> None:
        self._service = service
        self._held = lock
        self._requests, self._work = pauses(), pauses()
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
        self._workers = [gevent.spawn(self._run_jobs) for _ in range(self._number)]

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
            times = self._service.get(self._rng) if method == "GET" else self._service.post(self._rng)
            return self._serve(*times, action), began

    def _serve(self, saved: float, rest: float, action: Callable[[], _T]) -> _T:
        """Act after `saved` seconds and take another `rest`; the first of them all are under the lock."""
        total, pause = saved + rest, self._requests
        held = total * self._held
        if held >= saved:
            with self._lock:
                pause.take(saved)
                result = pause.during(action)
                pause.take(held - saved)
            pause.take(total - held)
            return result
        self._hold(held)
        pause.take(saved - held)
        result = pause.during(action)
        pause.take(total - saved)
        return result

    def _hold(self, seconds: float) -> None:
        """Take some time under the lock; none where nothing holds it, which then waits for nobody."""
        if seconds > 0:
            with self._lock:
                self._requests.take(seconds)

    def handshake(self) -> None:
        """Take the time of a cable's handshake, which needs a thread and the lock like any request."""
        if not self._service.instant:
            with self._threads:
                self._share(self._service.other(HANDSHAKE, self._rng), self._held)

    def _share(self, total: float, held: float) -> None:
        self._hold(total * held)
        self._requests.take(total * (1 - held))

    def command(self, action: Callable[[], None]) -> None:
        """Hand a cable command to the cable workers, which keep no order, not even that of one socket."""
        if self._service.instant:
            action()
        else:
            self._commands.spawn(self._on_cable_worker, action)

    def _on_cable_worker(self, action: Callable[[], None]) -> None:
        with self._cable_workers:
            self._share(self._service.other(COMMAND, self._rng), self._held * COMMAND_HELD)
            action()

    def queue(self, kind: Kind, job: Callable[[], None], *, recipients: int = 1) -> None:
        """Queue a job; it runs after the time that its kind, and each of its recipients, takes."""
        told = recipients if kind is not DISPATCH else 0
        self._jobs.put((Kind(kind.median + told * PUBLISH.median, kind.p95 + told * PUBLISH.p95), job))

    def _run_jobs(self) -> None:
        while True:
            kind, job = self._jobs.get()
            if not self._service.instant:
                self._work.take(self._service.other(kind, self._rng))
            try:
                job()
            except Exception:  # noqa: BLE001 - one broken job must not end its worker
                _log.exception("a job failed")
