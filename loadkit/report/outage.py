"""When a target was away: connections that it refused, and a silence that lasted to the end of the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loadkit.measure.recorder import Totals
from loadkit.results.reader import Run

__all__ = ["Outage", "outage", "reason_of", "silence"]

_TRIES = ("connect_unreachable", "reconnect_unreachable")
_STUCK = ("dropped_stale", "connect_timeout", "reconnect_timeout")


@dataclass(frozen=True, slots=True)
class Outage:
    """Requests and tries to open a cable that did not reach the target, seconds after the start; `lasting` if it never answered again."""

    first_s: float
    last_s: float
    requests: int
    tries: int
    reason: str
    lasting: bool


def outage(run: Run) -> Outage | None:
    """Return what is known of connections that the target did not take; None where there were none."""
    rows = [row for row in run.totals.errors.values() if row.kind == "unreachable" or row.kind in _TRIES]
    if not rows:
        return None
    first_us, last_us = min(row.first_us for row in rows), max(row.last_us for row in rows)
    later = [span.totals for span in run.bins if (span.totals.start_us or 0) >= first_us]
    most = max(rows, key=lambda row: row.count)
    return Outage(
        _after_start(run, first_us),
        _after_start(run, last_us),
        requests=sum(row.count for row in rows if row.kind == "unreachable"),
        tries=sum(row.count for row in rows if row.kind in _TRIES),
        reason=reason_of(most.example),
        # The span in which it began may hold answers from before and from after: what follows must show it.
        lasting=_saw(later, ("unreachable", *_TRIES)) and not any(map(_answered, later)),
    )


def reason_of(example: str) -> str:
    """Return what an example of an error says of its cause: the last part of "cannot connect to …: Connection refused"."""
    return example.replace("] ", ": ").rpartition(": ")[2]


def silence(run: Run) -> tuple[float, int] | None:
    """Return from when on, in seconds after the start, not one request was answered, and how many were left so; None where some were.

    Only cables that fell silent too make a silence: at the end of any run some requests may be under way.
    """
    last = max((n for n, span in enumerate(run.bins) if _answered(span.totals)), default=-1)
    later = [span.totals for span in run.bins[last + 1 :]]
    unanswered = sum(n for span in later for name, n in span.counters.items() if name.endswith(".unanswered"))
    if not unanswered or not _saw(later, _STUCK):
        return None
    return _after_start(run, run.bins[last].totals.end_us or 0) if last >= 0 else 0.0, unanswered


def _after_start(run: Run, unix_us: int) -> float:
    return max(0.0, (unix_us - run.header.started_us) / 1e6)


def _answered(span: Totals) -> bool:
    return any(histogram.count for name, histogram in span.histograms.items() if name.startswith("http."))


def _saw(spans: Iterable[Totals], kinds: tuple[str, ...]) -> bool:
    return any(kind in kinds for span in spans for kind, _ in span.errors)
