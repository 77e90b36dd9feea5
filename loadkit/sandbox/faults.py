"""Faults on purpose: parsed from "drop=20of2000" and the like, drawn from a seed, exact, switchable while the server runs.

A reply is a public message that an agent creates and the server would accept; each gets at most one fault. What a fault does to the
customer's frame is in `delivery.py`, what it does to the answer in `agent_rest.py`.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from loadkit import clock
from loadkit.errors import SettingsError
from loadkit.units import seconds, share

__all__ = ["NAMES", "Drawn", "Faults"]

REPLY_FAULTS = ("drop", "duplicate", "swap", "delay", "misroute", "429", "5xx", "disconnect")
SWITCHES = ("deaf", "never_confirm")
NAMES = (*REPLY_FAULTS, "stall", *SWITCHES, "cut")
DEFAULT_WAIT_S = {"delay": 7.0, "swap": 1.0}
MOST_POSITIONS = 1_000_000

_EXACT = re.compile(r"(\d{1,9})of(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Drawn:
    """The fault of one reply: its name, and what its value said beyond how often."""

    name: str
    wait_s: float = 0.0
    code: int = 500
    exact: bool = False


@dataclass(frozen=True, slots=True)
class _Spec:
    text: str
    drawn: Drawn
    share: float = 0.0
    count: int = 0
    window: int = 0


class Faults:
    """The faults that are set, and the draw for the next reply."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(f"faults {seed}")
        self._specs: dict[str, _Spec] = {}
        self._positions: dict[int, Drawn] = {}
        self._owed: list[Drawn] = []
        self._replies = 0
        self._texts: dict[str, str] = {}
        self._stall: tuple[float, float] | None = None
        self.deaf = False
        self.never_confirm = 0.0

    def shown(self) -> dict[str, str]:
        """Return what is set, by name, as it was written."""
        return {name: spec.text for name, spec in self._specs.items()} | self._texts

    def set(self, values: dict[str, str]) -> bool:
        """Replace the named faults, "off" removes one; all or none. Returns whether all cables are to be cut now. Raises SettingsError."""
        for name in values:
            if name not in NAMES:
                raise SettingsError(f"{name!r} is no fault: there are {', '.join(NAMES)}")
        specs = {name: _parse(name, values[name]) for name in REPLY_FAULTS if values.get(name, "off") != "off"}
        switches = {name: _switch(name, values[name]) for name in SWITCHES if name in values}
        stall = _stall(values["stall"]) if values.get("stall", "off") != "off" else None
        if values.get("cut", "now") not in ("now", "off"):
            raise SettingsError("cut can only be now")
        self._place({name: specs.get(name) for name in REPLY_FAULTS if name in values})
        self._switch(values, switches, stall)
        return values.get("cut") == "now"

    def _switch(self, values: dict[str, str], switches: dict[str, float], stall: tuple[float, float] | None) -> None:
        self.deaf = bool(switches.get("deaf", self.deaf))
        self.never_confirm = switches.get("never_confirm", self.never_confirm)
        if "stall" in values:
            now = clock.now()
            self._stall = (now + stall[1], now + stall[1] + stall[0]) if stall else None
        for name in ("stall", *SWITCHES):
            if name in values:
                self._texts.pop(name, None)
                if values[name] != "off":
                    self._texts[name] = values[name]

    def _place(self, changes: dict[str, _Spec | None]) -> None:
        """Give the exact faults their positions among the replies to come, none twice."""
        kept = {at: drawn for at, drawn in self._positions.items() if at >= self._replies and drawn.name not in changes}
        specs = {name: spec for name, spec in (self._specs | changes).items() if spec is not None}
        if sum(spec.share for spec in specs.values()) > 1 + 1e-9:
            raise SettingsError("the shares of the faults come to more than 100%")
        for spec in sorted((spec for spec in changes.values() if spec), key=lambda spec: (spec.window, spec.drawn.name)):
            free = [at for at in range(self._replies, self._replies + spec.window) if at not in kept]
            if len(free) < spec.count:
                raise SettingsError(f"{spec.drawn.name}={spec.text} leaves no room: other faults hold those replies")
            kept |= dict.fromkeys(self._rng.sample(free, spec.count), spec.drawn)
        self._positions, self._specs = kept, specs
        self._owed = [drawn for drawn in self._owed if drawn.name not in changes]

    def draw(self) -> Drawn | None:
        """Return the fault of the next reply, or None."""
        at, chance = self._replies, self._rng.random()
        self._replies += 1
        if drawn := self._positions.pop(at, None):
            return drawn
        if self._owed:
            return self._owed.pop(0)
        for spec in self._specs.values():
            if chance < spec.share:
                return spec.drawn
            chance -= spec.share
        return None

    def give_back(self, drawn: Drawn) -> None:
        """Hand an exact fault on to a later reply: this one could not have it, say for want of a socket."""
        if drawn.exact and drawn.name in self._specs:
            self._owed.append(drawn)

    def unconfirmed(self) -> bool:
        """Return whether the next subscription stays unconfirmed."""
        return self.never_confirm > 0 and self._rng.random() < self.never_confirm

    def choose(self, number: int) -> int:
        """Return one of `number` choices, seeded."""
        return self._rng.randrange(number)

    def stalled_s(self) -> float:
        """Return the seconds for which a request that comes now is held."""
        if self._stall is None:
            return 0.0
        begins, ends = self._stall
        return max(0.0, ends - clock.now()) if clock.now() >= begins else 0.0


def _parse(name: str, text: str) -> _Spec:
    often, _, extra = text.strip().partition(":")
    match = _EXACT.fullmatch(often)
    drawn = _drawn(name, extra, exact=match is not None)
    if match is None:
        value = share(often)
        if not 0 <= value <= 1:
            raise SettingsError(f"{name}={text}: a share lies between 0% and 100%")
        return _Spec(text, drawn, share=value)
    count, window = int(match[1]), int(match[2])
    if not 0 < count <= window <= MOST_POSITIONS:
        raise SettingsError(f"{name}={text}: write it like 20of2000, the first number the smaller")
    return _Spec(text, drawn, count=count, window=window)


def _drawn(name: str, extra: str, *, exact: bool) -> Drawn:
    wait_s, code = DEFAULT_WAIT_S.get(name, 0.0), 500
    if extra and name in DEFAULT_WAIT_S:
        wait_s = seconds(extra)
    elif extra and name == "5xx":
        if not re.fullmatch(r"5\d\d", extra):
            raise SettingsError(f"{name}: {extra!r} is no status between 500 and 599")
        code = int(extra)
    elif extra:
        raise SettingsError(f"{name} takes nothing after a colon, got {extra!r}")
    return Drawn(name, wait_s, code, exact)


def _switch(name: str, text: str) -> float:
    if text in ("on", "off"):
        return 1.0 if text == "on" else 0.0
    if name == "deaf":
        raise SettingsError(f"deaf is on or off, not {text!r}")
    value = share(text)
    if not 0 <= value <= 1:
        raise SettingsError(f"{name}={text}: a share lies between 0% and 100%")
    return value


def _stall(text: str) -> tuple[float, float]:
    length, _, after = text.partition("@")
    return seconds(length), seconds(after) if after else 0.0
