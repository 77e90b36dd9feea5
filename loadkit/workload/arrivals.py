"""The open model's schedule: when the n-th customer is meant to start, and which worker starts it. Every worker works out the same."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from loadkit.workload.profile import Plan, Profile

__all__ = ["Schedule", "Shares"]


class Schedule:
    """The intended starts of a profile in arrivals a second, in seconds since the run's start: same profile and seed, same starts.

    Constant: start n is where the area under the profile is n + 0.5. Poisson: where it is the sum of n + 1 unit exponentials, which makes
    independent arrivals whose rate at every moment is the profile's level.
    """

    _coming: Iterator[tuple[int, float]]
    _passed: int  # starts that `before` has counted, the last of them and the next
    _last: float
    _next: float

    def __init__(self, profile: Profile, *, poisson: bool, seed: int | str) -> None:
        self.profile, self.poisson, self.seed = profile, poisson, seed
        self._rewind()

    @classmethod
    def of(cls, plan: Plan, seed: int | str) -> Schedule:
        """Return the schedule of a plan."""
        return cls(plan.profile, poisson=plan.poisson, seed=seed)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """Yield (n, start) in order until the profile ends, which an endless one never does."""
        for n, area in enumerate(self._areas()):
            start = self.profile.when(area)
            if start is None or self.profile.is_over(start):
                return
            yield n, start

    def before(self, elapsed: float) -> int:
        """Return how many starts lie before a moment: those `__iter__` yields, counted. Cheap as long as moments do not go back."""
        if self.profile.area(elapsed) == math.inf:
            raise ValueError("an endless schedule has no last start")
        if elapsed <= self._last:
            self._rewind()
        while self._next < elapsed:
            self._passed, self._last = self._passed + 1, self._next
            _, self._next = next(self._coming, (0, math.inf))
        return self._passed

    def _rewind(self) -> None:
        self._coming = iter(self)
        self._passed, self._last = 0, -math.inf
        _, self._next = next(self._coming, (0, math.inf))

    def _areas(self) -> Iterator[float]:
        if not self.poisson:
            return itertools.count(0.5)
        rng = random.Random(f"arrivals {self.seed}")  # a stream of its own: texts and thinking times are drawn from the same seed
        return itertools.accumulate(rng.expovariate(1.0) for _ in itertools.count())


class Shares:
    """Who starts the n-th arrival while workers come and go: from an index on, workers by their ranks in turn.

    Whoever is told of the same changes gives the same answers, so each arrival has one owner. A change must reach all workers before the
    first start it concerns.
    """

    def __init__(self) -> None:
        self._epochs: list[tuple[int, tuple[int, ...]]] = []

    def change(self, from_index: int, ranks: Sequence[int]) -> None:
        """Let these ranks share the arrivals from an index on, whatever was said about them before; no ranks, no owner."""
        if from_index < 0:
            raise ValueError(f"arrivals are numbered from 0, not from {from_index}")
        del self._epochs[self._known(from_index - 1) :]
        self._epochs.append((from_index, tuple(ranks)))

    @property
    def epochs(self) -> list[tuple[int, tuple[int, ...]]]:
        """All changes that hold, to tell them to somebody else."""
        return list(self._epochs)

    def owner(self, n: int) -> int | None:
        """Return the rank that starts the n-th arrival, None where nobody does."""
        known = self._known(n)
        ranks = self._epochs[known - 1][1] if known else ()
        return ranks[n % len(ranks)] if ranks else None

    def owned(self, rank: int, before_index: int) -> int:
        """Return how many of the first `before_index` arrivals belong to a rank."""
        epochs = self._epochs[: self._known(before_index)]
        ends = [start for start, _ in epochs[1:]] + [before_index]
        return sum(
            _congruent(end, place, len(ranks)) - _congruent(start, place, len(ranks))
            for (start, ranks), end in zip(epochs, ends, strict=False)
            for place, other in enumerate(ranks)
            if other == rank
        )

    def _known(self, n: int) -> int:
        """Return how many epochs begin at or before an index."""
        return bisect_right(self._epochs, n, key=lambda epoch: epoch[0])


def _congruent(end: int, place: int, count: int) -> int:
    """Return how many n in 0 … end - 1 have n % count == place."""
    return (end - place + count - 1) // count
