"""Samples for Locust's own tables. Counts stay exact; listeners of `events.request` see at most some hundred samples a second.

Firing costs as much as receiving does, and so does a row by itself in Locust's tables: past that number the rest goes there in one sum.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from locust.env import Environment
from locust.exception import CatchResponseError
from locust.stats import StatsEntry

from loadkit import clock

__all__ = ["Samples"]

FIRED_AT_ONCE = 200


class Samples:
    """Collects what was measured outside Locust's own clients and hands it over once a second."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._latencies: defaultdict[str, list[int]] = defaultdict(list)
        self._rows: list[tuple[str, str, float | None, int, str]] = []

    def cable(self, name: str, took_us: int) -> None:
        """Add a latency seen on a cable."""
        self._latencies[name].append(took_us)

    def into(self, name: str) -> Callable[[int], None]:
        """Return what adds latencies (µs) seen on cables under one name: for a caller at whom every frame arrives."""
        return self._latencies[name].append

    def missing(self, name: str, problem: str) -> None:
        """Add a reply that never came: a failure without a time."""
        self._rows.append(("CABLE", name, None, 0, problem))

    def http(self, method: str, name: str, took_us: int | None, size: int, problem: str) -> None:
        """Add an exchange of a connection of ours."""
        self._rows.append((method, name, None if took_us is None else took_us / 1e3, size, problem))

    def flush(self) -> None:
        """Hand over what was collected: evenly spread samples as events, the others into the tables alone."""
        rows, self._rows = self._rows, []
        latencies = {name: values_us.copy() for name, values_us in self._latencies.items()}
        for values_us in self._latencies.values():
            values_us.clear()  # not a new list: `into` has handed this one out
        step = max(1, -(-(len(rows) + sum(map(len, latencies.values()))) // FIRED_AT_ONCE))
        stats: Any = self._environment.stats
        for n, (kind, name, took_ms, size, problem) in enumerate(rows):
            if n % step == 0:
                self._fire(kind, name, took_ms, size, problem)
                continue
            stats.log_request(kind, name, took_ms, size)
            if problem:
                stats.log_error(kind, name, CatchResponseError(problem))
        for name, values_us in latencies.items():
            for value_us in values_us[::step]:
                self._fire("CABLE", name, value_us / 1e3, 0, "")
            del values_us[::step]
            if values_us:
                summed = _summed(stats, name, values_us)
                stats.get(name, "CABLE").extend(summed)
                stats.total.extend(summed)

    def _fire(self, kind: str, name: str, took_ms: float | None, size: int, problem: str) -> None:
        fire: Any = self._environment.events.request.fire
        error: Any = CatchResponseError(problem) if problem else None
        fire(request_type=kind, name=name, response_time=took_ms, response_length=size, exception=error, context={}, response=None)


def _summed(stats: Any, name: str, values_us: list[int]) -> Any:
    """Return the `StatsEntry` that logging each value now would make, for Locust to add to its own as it adds a worker's."""
    row: Any = StatsEntry(stats, name, "CABLE")
    now = row.last_request_timestamp = row.start_time = clock.unix_us() / 1e6
    row.num_requests = row.num_reqs_per_sec[int(now)] = len(values_us)
    row.total_response_time = sum(values_us) / 1e3
    row.min_response_time, row.max_response_time = min(values_us) / 1e3, max(values_us) / 1e3
    for half_ms, n in Counter([value_us // 500 for value_us in values_us]).items():
        row.response_times[_rounded((half_ms + 0.5) / 2)] += n
    return row


def _rounded(ms: float) -> int:
    """Return a response time as Locust's tables keep it: two digits, 147 as 150 and 3432 as 3400, and whole seconds above ten."""
    return round(ms) if ms < 100 else int(round(ms, -1 if ms < 1000 else -2 if ms < 10_000 else -3))
