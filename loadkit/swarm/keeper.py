"""Keeps the record of a run: cuts an interval a second, has it written in the thread pool, and makes the summary at the end."""

from __future__ import annotations

import json
import os
from typing import Any

import gevent
from gevent.event import Event

from loadkit import clock
from loadkit.errors import ResultsError
from loadkit.measure.recorder import Totals
from loadkit.results.format import End, Header
from loadkit.results.summary import summarize
from loadkit.results.writer import Writer, make_folder
from loadkit.swarm.run import Run

__all__ = ["PROGRESS_VARIABLE", "Keeper"]

PROGRESS_VARIABLE = "LOADKIT_PROGRESS"
FIRST_HOUR = 3600.0


class Keeper:
    """The folder, the totals and the clockwork of one run."""

    def __init__(self, run: Run, header: Header) -> None:
        self.run, self.header = run, header
        self.folder = make_folder(run.settings.results, header.name)
        self.header.name = self.folder.name
        self.totals = Totals()
        self.summary: dict[str, Any] | None = None
        self._writer = Writer(self.folder, header, deliveries=run.settings.log_deliveries)
        self._stop_us: int | None = None
        self._drained_us: int | None = None
        self._over = Event()
        self._clockwork = gevent.spawn(self._keep)
        self._tell({"folder": str(self.folder)})

    def _keep(self) -> None:
        last = clock.now()
        while not self._over.wait(max(0.0, last + self._period() - clock.now())):
            took, last = clock.now() - last, clock.now()
            try:
                self._cut(took)
            except Exception as error:  # noqa: BLE001 - the record must go on, and the run be void
                self.run.fault("record", f"{type(error).__name__}: {error}")

    def _period(self) -> float:
        return 1.0 if clock.now_us() - self.run.started_us < FIRST_HOUR * 1e6 else 10.0

    def _cut(self, took: float) -> None:
        self.run.tick(took)
        interval = self.run.recorder.cut()
        self.totals.add(interval)
        self._tell(self._progress())
        try:
            gevent.get_hub().threadpool.apply(self._writer.write, (interval,))
        except (OSError, ValueError) as error:
            self.run.fault("results", f"the results could not be written: {error}")

    def _progress(self) -> dict[str, Any]:
        gauges, totals = self.totals.gauges, self.totals
        response = totals.histograms.get("reply.response")
        middle, high = response.percentiles((50, 99)) if response else (None, None)
        return {
            "elapsed": round((clock.now_us() - self.run.started_us) / 1e6, 1),
            "stopping": self.run.stopping,
            "customers": int(gauges.get("customers", 0)),
            "open": int(gauges.get("cable.open", 0)),
            "wanted": int(gauges.get("cable.wanted", 0)),
            "replies": totals.reply("attempted"),
            "lost": totals.reply("lost"),
            "p50_ms": middle / 1e3 if middle is not None else None,
            "p99_ms": high / 1e3 if high is not None else None,
        }

    @staticmethod
    def _tell(message: dict[str, Any]) -> None:
        """Tell the parent, if there is one; a parent that does not read or is gone misses it."""
        number = os.environ.get(PROGRESS_VARIABLE)
        if number:
            try:
                os.write(int(number), (json.dumps(message) + "\n").encode())
            except OSError:
                return

    def stopped(self) -> None:
        """Note the moment of the stop; the drain begins."""
        self._stop_us = self._stop_us or clock.now_us()

    def drained(self) -> None:
        """Note that the drain is over."""
        self._drained_us = clock.now_us()

    def finish(self, ended_by: str) -> dict[str, Any]:
        """Write the last interval and the summary; return the summary. Once only."""
        if self.summary is not None:
            return self.summary
        self._over.set()
        self._clockwork.join()  # never killed: a thread may be writing for it
        self._cut(1.0)
        stop_us = self._stop_us or clock.now_us()
        end = End(
            ended_by=ended_by,
            seconds=round((stop_us - self.run.started_us) / 1e6, 3),
            drain_seconds=round(((self._drained_us or stop_us) - stop_us) / 1e6, 3),
            faults=dict(self.run.faults),
        )
        self.totals.settle()
        for _ in range(self.totals.reply("lost")):
            self.run.samples.missing("reply.response", "lost")
        self.run.samples.flush()
        self.summary = summarize(self.header, self.totals, end)
        try:
            gevent.get_hub().threadpool.apply(self._writer.finish, (end, self.summary))
        except OSError as error:
            raise ResultsError(f"the summary could not be written: {error}") from None
        return self.summary
