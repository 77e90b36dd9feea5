"""Writes a run folder: append only, flushed to the disk at every call, the intervals' own lines last.

Every call blocks on the disk: in a load generator it belongs into the thread pool, one call at a time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, TextIO

import msgspec

from loadkit.errors import ResultsError
from loadkit.measure.hdr import Encoder
from loadkit.measure.recorder import Interval
from loadkit.measure.reply import DELIVERY_COLUMNS
from loadkit.measure.stages import STAGE_COLUMNS
from loadkit.results import format as fmt

__all__ = ["Writer", "end_killed", "make_folder", "make_parent"]


def make_parent(parent: Path) -> None:
    """Make the folder in which run folders are made, and see that it can be written. Raises ResultsError."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            return
    except OSError as error:
        raise ResultsError(f"results cannot be written to {parent}: {error.strerror}") from None


def make_folder(parent: Path, name: str) -> Path:
    """Make a new run folder under a parent and return it; a taken name gets a number. Raises ResultsError."""
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        folder = parent / (name + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ResultsError(f"cannot make the run folder {folder}: {error.strerror}") from None
        return folder
    raise ResultsError(f"there are a hundred runs called {name} in {parent} already")


def end_killed(folder: Path, end: fmt.End) -> None:
    """Say in the folder of a run whose processes were killed how it ended; a torn last line goes. Raises OSError."""
    with (folder / fmt.INTERVALS).open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(msgspec.json.encode(fmt.IntervalLine(ended=end)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


class Writer:
    """The files of one run, open from its first interval to its end."""

    def __init__(self, folder: Path, header: fmt.Header, *, deliveries: bool = False) -> None:
        self.folder = folder
        self._base_us = header.started_us
        self._encoder = Encoder()
        _replace(folder / fmt.HEADER, msgspec.json.format(msgspec.json.encode(header), indent=2))
        self._hlog = (folder / fmt.HLOG).open("w", encoding="utf-8")
        self._events = (folder / fmt.EVENTS).open("w", encoding="utf-8")
        self._deliveries = (folder / fmt.DELIVERIES).open("w", encoding="utf-8") if deliveries else None
        self._stages = (folder / fmt.STAGES).open("w", encoding="utf-8") if deliveries else None
        self._intervals = (folder / fmt.INTERVALS).open("w", encoding="utf-8")
        base = self._base_us / 1e6
        self._hlog.write(f"#[Histogram log format version 1.3]\n#[StartTime: {base:.3f} (seconds since epoch)]\n")
        self._hlog.write(f"#[BaseTime: {base:.3f} (seconds since epoch)]\n")
        self._hlog.write('"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n')
        for file, columns in ((self._deliveries, DELIVERY_COLUMNS), (self._stages, STAGE_COLUMNS)):
            if file:
                file.write(columns + "\n")
        self._flush()

    def write(self, *intervals: Interval) -> None:
        """Append intervals to every file and flush them to the disk, together: a master gets many at a time. Raises OSError."""
        self._commit(*[self._append(interval) for interval in intervals])

    def _append(self, interval: Interval) -> fmt.IntervalLine:
        """Append an interval to every file but that of the intervals; return its line for that."""
        lines = 0
        start = max(0.0, (interval.start_us - self._base_us) / 1e6)  # HDR tools skip what a worker's clock puts before the start
        length = (interval.end_us - interval.start_us) / 1e6
        latencies = {}
        for name, histogram in interval.histograms.items():
            if histogram.counts:
                highest = (histogram.max_us or 0) / 1e3
                payload = self._encoder.encode(histogram)
                self._hlog.write(f"Tag={name},{start:.3f},{length:.3f},{highest:.3f},{payload}\n")
                lines += 1
            h = histogram
            latencies[name] = fmt.LatencyLine(h.count, h.sum_us, h.over, h.exact, h.bounded, h.user_space)
        for event in interval.events:
            self._line(self._events, event)
        for file, told in ((self._deliveries, interval.deliveries), (self._stages, interval.stages)):
            if file and told:
                file.write("\n".join(told) + "\n")
        return fmt.IntervalLine(
            seq=interval.seq,
            worker=interval.worker,
            start=interval.start_us / 1e6,
            end=interval.end_us / 1e6,
            hlog=lines,
            events=len(interval.events),
            counters=interval.counters,
            gauges=interval.gauges,
            latencies=latencies,
            frames=interval.frames,
            errors=interval.errors,
        )

    def finish(self, end: fmt.End, summary: dict[str, Any]) -> None:
        """Append how the run ended, write the summary, and close. Raises OSError."""
        self._commit(fmt.IntervalLine(ended=end))
        _replace(self.folder / fmt.SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
        self.close()

    def close(self) -> None:
        """Close the files as they are; a run that was not finished reads as one whose process died."""
        for file in self._files():
            file.close()

    def _commit(self, *lines: fmt.IntervalLine) -> None:
        """Flush what the lines speak of before the lines themselves, so that a line found after a crash is true."""
        self._flush(but=self._intervals)
        for line in lines:
            self._line(self._intervals, line)
        self._flush(only=self._intervals)

    @staticmethod
    def _line(file: TextIO, value: Any) -> None:
        file.write(msgspec.json.encode(value).decode() + "\n")

    def _files(self) -> list[TextIO]:
        return [file for file in (self._deliveries, self._stages, self._hlog, self._events, self._intervals) if file]

    def _flush(self, *, only: TextIO | None = None, but: TextIO | None = None) -> None:
        for file in self._files():
            if file is not but and (only is None or file is only):
                file.flush()
                os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    """Write a whole file so that it is either there or not."""
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
