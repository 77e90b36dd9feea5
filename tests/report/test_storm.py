"""A reconnect storm on the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadkit.measure.histogram import Histogram
from loadkit.measure.recorder import Interval, Totals
from loadkit.report import storm
from loadkit.report.advice import advice
from loadkit.results import summary
from loadkit.results.format import End
from loadkit.results.reader import Bin, Run
from tests.report import build

SECOND = 1_000_000


def histogram(*values_s: float) -> Histogram:
    made = Histogram()
    for value in values_s:
        made.record(round(value * SECOND))
    return made


def run_of(tmp_path: Path, *seconds: Interval) -> Run:
    """Return a run with these intervals, one a second."""
    totals, bins = Totals(), []
    for n, interval in enumerate(seconds):
        totals.add(interval)
        bins.append(Bin(n, n + 1, span := Totals()))
        span.add(interval)
    return Run(tmp_path, build.header(build.HEALTHY, 0), totals, bins, End(ended_by="time", seconds=float(len(bins))))


def second(n: int, *, counters: dict[str, int] | None = None, **latencies: Histogram) -> Interval:
    """Return the n-th second: `create`, `list` and `back` are latencies of requests and of cables that are back."""
    names = {"create": "http.message.create", "list": "http.message.list", "back": "cable.reconnect"}
    histograms = {names[name]: one for name, one in latencies.items()}
    return Interval(n, 0, n * SECOND, (n + 1) * SECOND, counters=counters or {}, histograms=histograms)


def stormy(tmp_path: Path, back: Histogram, **counters: int) -> Run:
    """Return ten quiet seconds, a cut, a second in which the cables come back and read, and a quiet one."""
    ends = {"reply.attempted": 50, "reply.on_time": 43, "reply.recovered": 5, "reply.lost": 2, "question.asked": 50}
    quiet = [second(n, create=histogram(*[0.01] * 3)) for n in range(10)]
    cut = second(10, counters={"cable.cut": 20, "cable.dropped": 20, **ends, **counters})
    return run_of(tmp_path, *quiet, cut, second(11, create=histogram(0.01), list=histogram(*[0.1] * 20), back=back), second(12))


@pytest.mark.parametrize(
    ("back", "counters", "told"),
    [
        ([0.1] * 10 + [1.0] * 9 + [4.0], {}, ["20 of 20", "100 ms", "1 s", "4 s"]),
        ([0.1] * 10, {}, ["10 of 20", "100 ms", "not in this run", "not in this run"]),
        ([0.1] * 20 + [1.0] * 5, {"cable.dropped": 25}, ["5", "25 of 25", "100 ms", "1 s", "1 s"]),
    ],
    ids=["all come back", "half stay away", "some broke by themselves"],
)
def test_a_storm_tells_who_was_back_when(tmp_path: Path, back: list[float], counters: dict[str, int], told: list[str]) -> None:
    """Of all that broke, not of those that came back; then the peak of the requests, and what was missed and came back."""
    run = stormy(tmp_path, histogram(*back), **counters)
    table = storm.table(run, summary.summary_of(run))
    assert table is not None
    assert [row[1] for row in table.rows] == ["20", "–", *told, "3", "21", "20", "7", "5", "2"]


def test_without_a_cut_there_is_no_storm(tmp_path: Path) -> None:
    """Cables that broke by themselves are told of elsewhere."""
    run = run_of(tmp_path, second(0, counters={"cable.dropped": 3}))
    assert storm.table(run, summary.summary_of(run)) is None


def test_cables_cut_on_purpose_are_no_trouble(tmp_path: Path) -> None:
    """Only those that broke besides are worth a look."""
    hints = {}
    for dropped in (20, 21):
        run = stormy(tmp_path, histogram(*[0.1] * 20), **{"cable.dropped": dropped})
        hints[dropped] = [hint.text for hint in advice(run, summary.summary_of(run)) if "ended without" in hint.text]
    assert hints[20] == []
    assert [text.startswith("1 cable ended") for text in hints[21]] == [True]
