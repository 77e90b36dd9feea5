"""Random durations: how long people think. Each is a value that draws seconds from whatever generator it is given."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loadkit import units
from loadkit.errors import SettingsError

__all__ = ["Delay", "constant", "exponential", "lognormal", "uniform"]

_Z95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Delay:
    """A distribution of seconds. Called with a user, as Locust calls a `wait_time`, it draws from that user's `random`."""

    text: str
    _draw: Callable[[random.Random], float]

    def draw(self, rng: random.Random) -> float:
        """Return a duration in seconds, never negative."""
        return max(0.0, self._draw(rng))

    def __call__(self, user: Any) -> float:
        """Return a duration in seconds, drawn from the user's own generator."""
        return self.draw(user.random)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Be a method when it stands in a class body: `wait_time = lognormal(…)`; the class itself sees the distribution."""
        return self if instance is None else lambda: self(instance)

    def __str__(self) -> str:
        return self.text


def constant(value: str | float) -> Delay:
    """Return a delay that is always the same."""
    fixed = units.seconds(value)
    return Delay(f"constant {value}", lambda rng: fixed)


def uniform(low: str | float, high: str | float) -> Delay:
    """Return a delay equally likely anywhere between two durations."""
    a, b = units.seconds(low), units.seconds(high)
    if a > b:
        raise SettingsError(f"uniform({low!r}, {high!r}): the first duration is the longer one")
    return Delay(f"uniform {low} to {high}", lambda rng: rng.uniform(a, b))


def exponential(mean: str | float) -> Delay:
    """Return a delay with a mean, as between independent events."""
    average = units.seconds(mean)
    return Delay(f"exponential mean {mean}", lambda rng: rng.expovariate(1 / average) if average else 0.0)


def lognormal(*, median: str | float, p95: str | float) -> Delay:
    """Return a delay as people's are: half below the median, one in twenty above `p95`."""
    middle, high = units.seconds(median), units.seconds(p95)
    if not 0 < middle <= high:
        raise SettingsError(f"lognormal(median={median!r}, p95={p95!r}): give a median above 0 and a p95 not below it")
    mu, sigma = math.log(middle), math.log(high / middle) / _Z95
    return Delay(f"lognormal median {median} p95 {p95}", lambda rng: rng.lognormvariate(mu, sigma))
