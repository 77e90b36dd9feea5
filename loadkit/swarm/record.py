"""The record of a run in the process that keeps it, the only one or the master: the folder, the totals, and the summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent

from loadkit import clock, lifeline
from loadkit.errors import ResultsError
from loadkit.measure.recorder import BROKEN, Interval, Totals
from loadkit.results.format import End, Header, WorkerEnd
from loadkit.results.summary import summarize
from loadkit.results.writer import Writer, make_folder

__all__ = ["Record"]


class Record:
    """Takes intervals, has them written in the thread pool, and tells a parent how the run stands. Raises ResultsError."""

    def __init__(self, header: Header, *, results: Path, deliveries: bool) -> None:
        self.header = header
        self.folder = make_folder(results, header.name)
        self.header.name = self.folder.name
        self.totals = Totals()
        self.started_us = clock.now_us()
        self._writer = Writer(self.folder, header, deliveries=deliveries)
        self._unwritten: list[Interval] = []
        self._faults: dict[str, str] = {}
        self._stop_us: int | None = None
        self._drained_us: int | None = None
        lifeline.tell({"folder": str(self.folder)})

    def add(self, interval: Interval) -> None:
        """Take an interval; the next `write` puts it on the disk."""
        self.totals.add(interval)
        self._unwritten.append(interval)

    def write(self) -> None:
        """Write what was added, in the thread pool: the disk must not hold up the hub. A full disk voids the run."""
        self._tell()
        if not self._unwritten:
            return
        intervals, self._unwritten = self._unwritten, []
        try:
            gevent.get_hub().threadpool.apply(self._writer.write, tuple(intervals))
        except (OSError, ValueError) as error:
            self.fault("results", f"the results could not be written: {error}")

    def _tell(self) -> None:
        if not lifeline.has_parent():
            return
        gauges, totals = self.totals.gauges, self.totals
        response = totals.histograms.get("reply.response")
        middle, high = response.percentiles((50, 99)) if response else (None, None)
        lifeline.tell(
            {
                "elapsed": round((clock.now_us() - self.started_us) / 1e6, 1),
                "stopping": self._stop_us is not None,
                "customers": int(gauges.get("customers", 0)),
                "open": int(gauges.get("cable.open", 0)),
                "wanted": int(gauges.get("cable.wanted", 0)),
                "replies": totals.reply("attempted"),
                "lost": totals.reply("lost"),
                "p50_ms": middle / 1e3 if middle is not None else None,
                "p99_ms": high / 1e3 if high is not None else None,
            }
        )

    def fault(self, name: str, text: str) -> None:
        """Note something that voids the run whatever it measured."""
        self._faults.setdefault(name, text)

    def stopped(self) -> None:
        """Note the moment of the stop; the drain begins."""
        self._stop_us = self._stop_us or clock.now_us()

    def drained(self) -> None:
        """Note that the drain is over."""
        self._drained_us = clock.now_us()

    def finish(self, ended_by: str, *, workers: list[WorkerEnd] | None = None) -> dict[str, Any]:
        """Write what is left, how the run ended and the summary; return the summary."""
        self.write()
        for (kind, where), row in self.totals.errors.items():
            if kind == BROKEN:
                self.fault(where, f"something in the load generator broke: {row.example}")
        stop_us = self._stop_us or clock.now_us()
        end = End(
            ended_by=ended_by,
            seconds=round((stop_us - self.started_us) / 1e6, 3),
            drain_seconds=round(((self._drained_us or stop_us) - stop_us) / 1e6, 3),
            faults=self._faults,
            workers=workers or [],
        )
        self.totals.settle()
        summary = summarize(self.header, self.totals, end)
        try:
            gevent.get_hub().threadpool.apply(self._writer.finish, (end, summary))
        except OSError as error:
            raise ResultsError(f"the summary could not be written: {error}") from None
        return summary
