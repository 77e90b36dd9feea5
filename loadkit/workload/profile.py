"""How much, when: stages of linear ramps, read from "2m:50,30m:50,2m:0" (customers) or "5m:0.5/s,20m:2/s" (arrivals a second).

A profile tells the level at a moment, the area under it up to there, and the moment at which an area is reached. It reads no clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

from loadkit import units
from loadkit.errors import SettingsError

__all__ = ["Plan", "Profile", "Stage", "arrivals", "stages"]

_HIGHEST = 1_000_000
_LONGEST = units.seconds("365d")
_KINDS = ("constant", "poisson")


@dataclass(frozen=True, slots=True)
class Stage:
    """A ramp from the level before to `level` within `duration` seconds; 0 seconds is a jump, infinitely many an endless hold."""

    duration: float
    level: float

    def __post_init__(self) -> None:
        if not (0 <= self.duration <= _LONGEST or self.duration == math.inf):
            raise SettingsError(f"a duration of {self.duration:.12g} seconds is not between 0 and a year")
        if not 0 <= self.level <= _HIGHEST:
            raise SettingsError(f"a level of {self.level:.12g} is not between 0 and {_HIGHEST}")


@dataclass(frozen=True, slots=True)
class _Ramp:
    """A stage of some length in its place: `before` is the area to its left, `after` the area to its right end."""

    start: float
    duration: float
    first: float
    last: float
    before: float
    after: float

    def level(self, into: float) -> float:
        return self.first + (self.last - self.first) * (into / self.duration)

    def area(self, into: float) -> float:
        return min(self.after, self.before + into * (self.first + self.level(into)) / 2)

    def when(self, area: float) -> float:
        # Along a ramp the square of the level is linear in the area. Put so, the quadratic formula subtracts nothing and loses no digits.
        within, whole = area - self.before, self.after - self.before
        done = min(1.0, within / whole)
        both = self.first + math.hypot(self.first * math.sqrt(1 - done), self.last * math.sqrt(done))
        return self.start + (min(self.duration, 2 * within / both) if both else 0.0)


@dataclass(frozen=True)
class Profile:
    """Stages in order, from level 0. Raises SettingsError where they last no time or never rise above 0. `text` is how it was written."""

    stages: tuple[Stage, ...]
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self._ramps:
            raise SettingsError(f"{str(self)!r} lasts no time at all: give at least one stage a duration above 0")
        if not self._ramps[-1].after > 0:
            raise SettingsError(f"{str(self)!r} never rises above 0: nobody would ever come")

    def __str__(self) -> str:
        return self.text or ",".join(f"{stage.duration:g}s:{stage.level:g}" for stage in self.stages)

    @cached_property
    def _ramps(self) -> tuple[_Ramp, ...]:
        ramps: list[_Ramp] = []
        start = area = level = 0.0
        for stage in self.stages:
            if math.inf in (start, stage.duration) and (start == math.inf or stage.level != level):
                raise SettingsError(f"{str(self)!r}: only the last stage can be endless, and it holds the level before it")
            if stage.duration:
                after = area + stage.duration * (level + stage.level) / 2
                ramps.append(_Ramp(start, stage.duration, level, stage.level, area, after))
                start, area = start + stage.duration, after
            level = stage.level
        return tuple(ramps)

    @property
    def seconds(self) -> float:
        """How long it lasts; infinite where its last stage is endless."""
        return self._ramps[-1].start + self._ramps[-1].duration

    def is_over(self, elapsed: float) -> bool:
        """Return whether so many seconds are all of it."""
        return elapsed >= self.seconds

    def level(self, elapsed: float) -> float:
        """Return the customers, or arrivals a second, at a moment; at a jump the level after it, 0 before the start and beyond the end."""
        if self.is_over(elapsed):
            return self.stages[-1].level if elapsed == self.seconds else 0.0
        ramp = self._ramp(elapsed)
        return ramp.level(elapsed - ramp.start) if elapsed >= 0 else 0.0

    def area(self, elapsed: float) -> float:
        """Return the integral of the level from the start to a moment: of an arrival rate, how many were intended by then."""
        if self.is_over(elapsed):
            return self._ramps[-1].after
        ramp = self._ramp(elapsed)
        return ramp.area(elapsed - ramp.start) if elapsed >= 0 else 0.0

    def when(self, area: float) -> float | None:
        """Return the first moment at which the area is reached, the inverse of `area`; None where it never is."""
        if area <= 0:
            return 0.0
        reaches = bisect_left(self._ramps, area, key=_AFTER)
        return self._ramps[reaches].when(area) if reaches < len(self._ramps) else None

    def _ramp(self, elapsed: float) -> _Ramp:
        return self._ramps[max(0, bisect_right(self._ramps, elapsed, key=_START) - 1)]


_START, _AFTER = attrgetter("start"), attrgetter("after")


@dataclass(frozen=True, slots=True)
class Plan:
    """How customers arrive: a profile in arrivals a second, evenly spaced or as independent people do (Poisson)."""

    profile: Profile
    poisson: bool = True

    def __str__(self) -> str:
        return f"{_KINDS[self.poisson]} {self.profile}"


def stages(text: str) -> Profile:
    """Return the profile of "2m:50,30m:50,2m:0", in customers. Raises SettingsError with one sentence."""
    return _staged(text, _customers, "2m:50, a duration and a number of customers")


def arrivals(text: str) -> Plan:
    """Return the plan of "2/s", without end, or of "5m:0.5/s,20m:2/s"; "constant" may stand before or after, "poisson" is the default.

    Raises SettingsError with one sentence.
    """
    words = text.split()
    kind = "poisson"
    for end in (0, -1):
        if words and words[end].lower() in _KINDS:
            kind = words.pop(end).lower()
            break
    plain = " ".join(words) or text
    if set(plain) & set(":,"):
        return Plan(_staged(plain, units.per_second, "5m:2/s, a duration and a rate"), kind == "poisson")
    rate = units.per_second(plain)
    return Plan(Profile((Stage(0, rate), Stage(math.inf, rate)), plain), kind == "poisson")


def _staged(text: str, level: Callable[[str], float], expected: str) -> Profile:
    made: list[Stage] = []
    for number, part in enumerate(text.split(","), 1):
        duration, colon, goal = part.partition(":")
        try:
            if not colon:
                raise SettingsError(f"write it like {expected}")
            made.append(Stage(units.seconds(duration), level(goal)))
        except SettingsError as error:
            raise SettingsError(f"stage {number}, {part!r}: {error}") from None
    return Profile(tuple(made), text)


def _customers(text: str) -> float:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(_HIGHEST))):
        raise SettingsError(f"{text!r} is not a number of customers: write a whole number from 0 to {_HIGHEST}")
    return float(digits)
