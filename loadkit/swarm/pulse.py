"""The generator's own health: how late its loop wakes up, how much of a core it uses, how many files it holds."""

from __future__ import annotations

import gc
import os
from collections import deque

import gevent

from loadkit import clock
from loadkit.measure.recorder import Recorder

__all__ = ["Pulse", "set_heap_aside"]

PERIOD_US = 10_000
MOST_BACKFILL = 6_000


class Pulse:
    """Wakes up a hundred times a second and records how late; every beat that was missed counts, as for anything due in between."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._used = deque([(clock.now(), clock.cpu_s())], maxlen=6)

    def beat(self) -> None:
        """Beat for ever; the body of a greenlet."""
        next_us = clock.now_us() + PERIOD_US
        while True:
            gevent.sleep(max(0.0, (next_us - clock.now_us()) / 1e6))
            late_us = max(0, clock.now_us() - next_us)
            missed = min(late_us // PERIOD_US, MOST_BACKFILL)
            for n in range(missed + 1):
                self._recorder.latency("generator.lag", late_us - n * PERIOD_US)
            next_us += (late_us // PERIOD_US + 1) * PERIOD_US

    def sample(self) -> None:
        """Set the gauges: CPU over the last five seconds, so that one busy moment is not taken for a busy generator, and open files."""
        self._used.append((clock.now(), clock.cpu_s()))
        (from_s, before), (to_s, after) = self._used[0], self._used[-1]
        if to_s > from_s:
            self._recorder.gauge("generator.cpu", round((after - before) / (to_s - from_s), 4))
        try:
            self._recorder.gauge("generator.open_files", len(os.listdir("/proc/self/fd")))
        except OSError:
            return


def set_heap_aside() -> None:
    """Keep the garbage collector off all that lives before the load does: a full round over it would hold the hub up for 40 ms."""
    gc.unfreeze()  # an earlier run of this process set aside what may be garbage by now
    gc.collect()
    gc.freeze()
