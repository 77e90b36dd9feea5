"""A draw among faults, seeded: each by a share of all, or exactly so many of the next so many, no position given twice."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from loadkit.errors import SettingsError
from loadkit.units import seconds, share

__all__ = ["Chance", "Drawn", "Lottery", "Plan", "chance"]

MOST_POSITIONS = 1_000_000
WAITS_S = {"delay": 7.0, "swap": 1.0, "dribble": 2.0, "slow_accept": 2.0, "slow_reader": 0.05}

_EXACT = re.compile(r"(\d{1,9})of(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A fault that was drawn: its name, and what its value said beyond how often. `wait_s` in seconds."""

    name: str
    wait_s: float = 0.0
    code: int = 500
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Chance:
    """How often a fault comes, as it was written: a share of all, or `count` of the next `window`."""

    text: str
    drawn: Drawn
    share: float = 0.0
    count: int = 0
    window: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would make of a lottery: worked out first, so that a change can be refused as a whole."""

    chances: dict[str, Chance]
    positions: dict[int, Drawn]
    owed: list[Drawn]


class Lottery:
    """The chances that are set, and the draws; `drawn` counts what came of them, by name."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self._plan = Plan({}, {}, [])
        self._draws = 0
        self.drawn: dict[str, int] = {}

    def shown(self) -> dict[str, str]:
        """Return what is set, by name, as it was written."""
        return {name: each.text for name, each in self._plan.chances.items()}

    def planned(self, changes: dict[str, Chance | None]) -> Plan:
        """Return what the lottery would be with these chances replaced, None removes one. Raises SettingsError where there is no room."""
        old = self._plan
        positions = {at: drawn for at, drawn in old.positions.items() if at >= self._draws and drawn.name not in changes}
        chances = {name: each for name, each in (old.chances | changes).items() if each is not None}
        if sum(each.share for each in chances.values()) > 1 + 1e-9:
            raise SettingsError("the shares of the faults come to more than 100%")
        for each in sorted((each for each in changes.values() if each), key=lambda each: (each.window, each.drawn.name)):
            free = [at for at in range(self._draws, self._draws + each.window) if at not in positions]
            if len(free) < each.count:
                raise SettingsError(f"{each.drawn.name}={each.text} leaves no room: other faults hold those places")
            positions |= dict.fromkeys(self._rng.sample(free, each.count), each.drawn)
        return Plan(chances, positions, [drawn for drawn in old.owed if drawn.name not in changes])

    def adopt(self, plan: Plan) -> None:
        """Go by a plan from now on."""
        self._plan = plan

    def draw(self) -> Drawn | None:
        """Return the fault of the next one, or None."""
        drawn = self._next()
        if drawn:
            self.drawn[drawn.name] = self.drawn.get(drawn.name, 0) + 1
        return drawn

    def _next(self) -> Drawn | None:
        at, point = self._draws, self._rng.random()
        self._draws += 1
        if drawn := self._plan.positions.pop(at, None):
            return drawn
        if self._plan.owed:
            return self._plan.owed.pop(0)
        for each in self._plan.chances.values():
            if point < each.share:
                return each.drawn
            point -= each.share
        return None

    def give_back(self, drawn: Drawn) -> None:
        """Hand an exact fault on to a later one: this one could not have it."""
        self.drawn[drawn.name] -= 1
        if drawn.exact and drawn.name in self._plan.chances:
            self._plan.owed.append(drawn)

    def choose(self, number: int) -> int:
        """Return one of `number` choices, seeded."""
        return self._rng.randrange(number)


def chance(name: str, text: str) -> Chance:
    """Return what "1%", "20of2000", "on", each perhaps with a colon and what it takes, says of a fault. Raises SettingsError."""
    often, _, extra = text.strip().partition(":")
    match = _EXACT.fullmatch(often)
    drawn = _drawn(name, extra, exact=match is not None)
    if match is None:
        value = 1.0 if often == "on" else share(often)
        if not 0 <= value <= 1:
            raise SettingsError(f"{name}={text}: a share lies between 0% and 100%")
        return Chance(text, drawn, share=value)
    count, window = int(match[1]), int(match[2])
    if not 0 < count <= window <= MOST_POSITIONS:
        raise SettingsError(f"{name}={text}: write it like 20of2000, the first number the smaller")
    return Chance(text, drawn, count=count, window=window)


def _drawn(name: str, extra: str, *, exact: bool) -> Drawn:
    wait_s, code = WAITS_S.get(name, 0.0), 500
    if extra and name in WAITS_S:
        wait_s = seconds(extra)
    elif extra and name == "5xx":
        if not re.fullmatch(r"5\d\d", extra):
            raise SettingsError(f"{name}: {extra!r} is no status between 500 and 599")
        code = int(extra)
    elif extra:
        raise SettingsError(f"{name} takes nothing after a colon, got {extra!r}")
    return Drawn(name, wait_s, code, exact)
