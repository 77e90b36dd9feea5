"""How long things take inside the sandbox: one distribution for a POST, everything else in proportion to it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from loadkit.errors import SettingsError
from loadkit.units import seconds

__all__ = ["REAL_POST_S", "SAVED", "Kind", "Service"]

REAL_POST_S = 0.052
_P95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work: its median and 95th percentile in seconds where a POST's median is 52 ms."""

    median: float
    p95: float


GET = Kind(0.013, 0.020)
SAVED = 0.75  # the share of a request's time after which the row is saved and its jobs are queued

# The real server's POST varies little until its row is saved, which is why frames are punctual, and much from there to its answer:
# nearly a fifth also change the conversation, as a first reply does.
TO_SAVED = Kind(0.0385, 0.049)
TO_ANSWER = Kind(0.013, 0.018)
TO_ANSWER_CHANGING_MORE = Kind(0.050, 0.075)
CHANGING_MORE = 0.18


@dataclass(frozen=True, slots=True)
class Service:
    """A parsed `--service`: `shape` is one of real, none, constant, exponential, lognormal; `typical` is a POST's median or mean."""

    shape: str
    typical: float
    p95: float

    @classmethod
    def parse(cls, text: str) -> Service:
        """Return the service of "none", "real", "constant:20ms", "exponential:20ms" or "lognormal:20ms,80ms". Raises SettingsError."""
        shape, _, values = text.strip().partition(":")
        numbers = [seconds(value) for value in values.split(",")] if values else []
        if shape == "none" and not numbers:
            return cls("none", 0.0, 0.0)
        if shape == "real" and not numbers:
            return cls("real", REAL_POST_S, 0.0)
        if shape in ("constant", "exponential") and len(numbers) == 1 and numbers[0] > 0:
            return cls(shape, numbers[0], numbers[0])
        if shape == "lognormal" and len(numbers) == 2 and 0 < numbers[0] <= numbers[1]:
            return cls(shape, numbers[0], numbers[1])
        raise SettingsError(f"{text!r} is no service time: write none, real, constant:20ms, exponential:20ms or lognormal:20ms,80ms")

    @property
    def instant(self) -> bool:
        """Whether nothing takes any time."""
        return self.shape == "none"

    def post(self, rng: random.Random) -> tuple[float, float]:
        """Return the seconds that one POST takes until its row is saved, and from there to its answer."""
        if self.shape == "real":
            rest = TO_ANSWER_CHANGING_MORE if rng.random() < CHANGING_MORE else TO_ANSWER
            return _lognormal(rng, TO_SAVED), _lognormal(rng, rest)
        total = self.typical
        if self.shape == "exponential":
            total = rng.expovariate(1 / self.typical)
        elif self.shape == "lognormal":
            total = _lognormal(rng, Kind(self.typical, self.p95))
        return total * SAVED, total * (1 - SAVED)

    def get(self, rng: random.Random) -> tuple[float, float]:
        """Return the same of one GET."""
        total = self.other(GET, rng)
        return total * SAVED, total * (1 - SAVED)

    def other(self, kind: Kind, rng: random.Random) -> float:
        """Return the seconds that one piece of other work takes, in proportion to the POST.

        With exponential POSTs it is exponential too, its kind's median being its mean: each kind of work, and each queue as far as
        one kind fills it, is then an M/M/c. With constant POSTs it varies all the same.
        """
        if self.instant:
            return 0.0
        scale = self.typical / REAL_POST_S
        if self.shape == "exponential":
            return rng.expovariate(1 / (kind.median * scale))
        return _lognormal(rng, kind) * scale


def _lognormal(rng: random.Random, kind: Kind) -> float:
    return kind.median * math.exp(rng.gauss(0.0, 1.0) * math.log(kind.p95 / kind.median) / _P95)
