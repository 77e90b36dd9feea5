"""The beat of a process that generates load: once a second the run is looked after and an interval is cut and handed on."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.event import Event

from loadkit import clock
from loadkit.measure.recorder import Interval
from loadkit.swarm.run import Run

__all__ = ["Keeper"]

FIRST_HOUR = 3600.0
BEAT, LATER_PERIOD = 1.0, 10.0


class Keeper:
    """Beats from the run's start to `finish`; `take` gets every interval, in the beat's own greenlet, and may block."""

    def __init__(self, run: Run, take: Callable[[Interval], None]) -> None:
        self._run, self._take = run, take
        self._began = self._last_cut = clock.now()
        self._lost = 0
        self._over = Event()
        self._beat = gevent.spawn(self._keep)

    def _keep(self) -> None:
        last = clock.now()
        while not self._over.wait(max(0.0, last + BEAT - clock.now())):
            took, last = clock.now() - last, clock.now()
            try:
                self._run.tick(took)
                self._keep_identities()
                if last - self._began < FIRST_HOUR or last - self._last_cut >= LATER_PERIOD:
                    self._cut()
            except Exception as error:  # noqa: BLE001 - the record must go on, and the run be void
                self._run.fault("record", f"{type(error).__name__}: {error}")

    def _keep_identities(self) -> None:
        if self._run.identities is not None:
            gevent.get_hub().threadpool.apply(self._run.identities.write)

    def _cut(self) -> None:
        self._last_cut = clock.now()
        interval = self._run.recorder.cut()
        self._lost += interval.counters.get("reply.lost", 0)
        self._take(interval)

    def finish(self) -> None:
        """Cut the last interval, after the ledger was closed; Locust's table gets the lost replies, which are final now."""
        self._over.set()
        self._beat.join()  # never killed: a thread may be writing for it
        self._run.tick(BEAT)
        self._keep_identities()
        self._cut()
        for _ in range(self._lost):
            self._run.samples.missing("reply.response", "lost")
        self._run.samples.flush()
