"""Samples for Locust's own tables. Counts stay exact; listeners of `events.request` see at most some hundred samples a second.

Firing costs as much as receiving does. Past that number the rest goes straight into Locust's statistics.
"""

from __future__ import annotations

from typing import Any

from locust.env import Environment
from locust.exception import CatchResponseError

__all__ = ["Samples"]

FIRED_AT_ONCE = 200


class Samples:
    """Collects what was measured outside Locust's own clients and hands it over once a second."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._rows: list[tuple[str, str, float | None, int, str]] = []

    def cable(self, name: str, took_us: int, *, problem: str = "") -> None:
        """Add a latency seen on a cable."""
        self._rows.append(("CABLE", name, took_us / 1e3, 0, problem))

    def missing(self, name: str, problem: str) -> None:
        """Add a reply that never came: a failure without a time."""
        self._rows.append(("CABLE", name, None, 0, problem))

    def http(self, method: str, name: str, took_us: int | None, size: int, problem: str) -> None:
        """Add an exchange of a connection of ours."""
        self._rows.append((method, name, None if took_us is None else took_us / 1e3, size, problem))

    def flush(self) -> None:
        """Hand over what was collected: evenly spread samples as events, the others into the tables alone."""
        rows, self._rows = self._rows, []
        step = max(1, -(-len(rows) // FIRED_AT_ONCE))
        stats: Any = self._environment.stats
        fire: Any = self._environment.events.request.fire
        for n, (kind, name, took_ms, size, problem) in enumerate(rows):
            if n % step == 0:
                error: Any = CatchResponseError(problem) if problem else None
                fire(request_type=kind, name=name, response_time=took_ms, response_length=size, exception=error, context={}, response=None)
                continue
            stats.log_request(kind, name, took_ms, size)
            if problem:
                stats.log_error(kind, name, CatchResponseError(problem))
