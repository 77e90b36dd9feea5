"""Where a process stands in a run: which run, which worker of how many. Identities, seeds, agents and shares follow from it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

__all__ = ["Place", "new_run_id", "seats"]


def new_run_id() -> str:
    """Return the eight hex digits that every marker of a run carries."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's rank, 0 for the first, among those that were ready at the start; one that joins later has a rank beyond them."""

    run: str
    rank: int = 0
    workers: int = 1
    most: int = 0
    """How many users receive arrivals, over all workers; 0 where none do."""

    def agents(self, count: int) -> tuple[int, ...]:
        """Return the numbers of the agents, of `count` in all, that sit here: at least one, and none that sits elsewhere."""
        if self.rank >= self.workers:
            return (max(count, self.workers) + self.rank - self.workers,)
        return tuple(range(self.rank, count, self.workers)) or (self.rank,)


def seats(count: int, workers: int) -> int:
    """Return how many agents sit at the start where `count` are spread over workers."""
    return sum(len(Place("", rank, workers).agents(count)) for rank in range(workers))
