"""Faults on purpose: parsed from "drop=20of2000" and the like, drawn from a seed, exact, switchable while the server runs.

A reply is a public message that an agent creates and the server would accept; each gets at most one fault. Connections and
subscriptions have faults of their own, drawn apart. What a fault does is in `delivery.py`, `agent_messages.py`, `front.py` and `cable.py`.
"""

from __future__ import annotations

from loadkit import clock
from loadkit.errors import SettingsError
from loadkit.sandbox.lottery import Chance, Drawn, Lottery, chance
from loadkit.units import seconds

__all__ = ["NAMES", "REPLY_FAULTS", "Drawn", "Faults"]

REPLY_FAULTS = ("drop", "duplicate", "swap", "delay", "misroute", "429", "5xx", "disconnect", "dribble", "black_hole")
OF_CONNECTIONS = ("slow_accept", "slow_reader")
OF_SUBSCRIPTIONS = ("never_confirm",)
SWITCHES = ("deaf", "black_hole")
NAMES = (*REPLY_FAULTS, *OF_CONNECTIONS, *OF_SUBSCRIPTIONS, "stall", "deaf", "cut")


class Faults:
    """The faults that are set, and the draws for replies, connections and subscriptions.

    `deaf`: nothing is delivered. `black_hole`: nothing is answered or sent; set to a share or a count instead of "on" it swallows the
    customer's socket at a reply.
    """

    def __init__(self, seed: int = 0) -> None:
        self._replies = Lottery(f"faults {seed}")
        self._lotteries = dict.fromkeys(REPLY_FAULTS, self._replies)
        self._lotteries |= {name: Lottery(f"faults {seed} {name}") for name in (*OF_CONNECTIONS, *OF_SUBSCRIPTIONS)}
        self._texts: dict[str, str] = {}
        self._stall: tuple[float, float] | None = None
        self.deaf = False
        self.black_hole = False

    def shown(self) -> dict[str, str]:
        """Return what is set, by name, as it was written."""
        shown: dict[str, str] = {}
        for lottery in dict.fromkeys(self._lotteries.values()):
            shown |= lottery.shown()
        return shown | self._texts

    def touched(self) -> dict[str, int]:
        """Return how many connections and subscriptions each of their faults has had."""
        return {name: count for name in (*OF_CONNECTIONS, *OF_SUBSCRIPTIONS) if (count := self._lotteries[name].drawn.get(name, 0))}

    def set(self, values: dict[str, str]) -> bool:
        """Replace the named faults, "off" removes one; all or none. Returns whether all cables are to be cut now. Raises SettingsError."""
        for name in values:
            if name not in NAMES:
                raise SettingsError(f"{name!r} is no fault: there are {', '.join(NAMES)}")
        changes: dict[Lottery, dict[str, Chance | None]] = {}
        for name, lottery in self._lotteries.items():
            if name in values:
                on = values[name] not in ("off", "on" if name in SWITCHES else "off")
                changes.setdefault(lottery, {})[name] = chance(name, values[name]) if on else None
        plans = [(lottery, lottery.planned(each)) for lottery, each in changes.items()]
        stall = _stall(values["stall"]) if values.get("stall", "off") != "off" else None
        if values.get("cut", "now") not in ("now", "off"):
            raise SettingsError("cut can only be now")
        if values.get("deaf", "on") not in ("on", "off"):
            raise SettingsError(f"deaf is on or off, not {values['deaf']!r}")
        for lottery, plan in plans:
            lottery.adopt(plan)
        self._switch(values, stall)
        return values.get("cut") == "now"

    def _switch(self, values: dict[str, str], stall: tuple[float, float] | None) -> None:
        self.deaf = values.get("deaf", "on" if self.deaf else "off") == "on"
        self.black_hole = values.get("black_hole", "on" if self.black_hole else "off") == "on"
        if "stall" in values:
            now = clock.now()
            self._stall = (now + stall[1], now + stall[1] + stall[0]) if stall else None
        for name in ("stall", *SWITCHES):
            if name in values:
                self._texts.pop(name, None)
                if values[name] == "on" or (name == "stall" and stall):
                    self._texts[name] = values[name]

    def draw(self) -> Drawn | None:
        """Return the fault of the next reply, or None."""
        return self._replies.draw()

    def give_back(self, drawn: Drawn) -> None:
        """Hand an exact fault on to a later reply: this one could not have it, say for want of a socket."""
        self._replies.give_back(drawn)

    def choose(self, number: int) -> int:
        """Return one of `number` choices, seeded."""
        return self._replies.choose(number)

    def unconfirmed(self) -> bool:
        """Return whether the next subscription stays unconfirmed."""
        return self._lotteries["never_confirm"].draw() is not None

    def accepted_after_s(self) -> float:
        """Return the seconds for which the next connection is left alone before it is served."""
        return drawn.wait_s if (drawn := self._lotteries["slow_accept"].draw()) else 0.0

    def read_pause_s(self) -> float:
        """Return the seconds of rest before each piece that is read from the next connection; 0 for reading as it comes."""
        return drawn.wait_s if (drawn := self._lotteries["slow_reader"].draw()) else 0.0

    def stalled_s(self) -> float:
        """Return the seconds for which a request that comes now is held."""
        if self._stall is None:
            return 0.0
        begins, ends = self._stall
        return max(0.0, ends - clock.now()) if clock.now() >= begins else 0.0


def _stall(text: str) -> tuple[float, float]:
    length, _, after = text.partition("@")
    return seconds(length), seconds(after) if after else 0.0
