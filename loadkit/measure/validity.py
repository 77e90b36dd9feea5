"""Can this run be believed? The generator's own troubles, held against limits: valid, suspect or void.

A slow target never makes a run suspect, nor does one that refuses or breaks connections; a generator that could not keep up, or a run
that measured nothing, does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loadkit import units
from loadkit.errors import SettingsError, TransportError
from loadkit.measure.recorder import Totals
from loadkit.measure.threshold import UNDETERMINED_LIMIT

__all__ = ["LIMITS", "Reason", "Validity", "examine", "limits_with", "voids"]

READ_LATE = 0.02
"""p99 of the read lag, in seconds, from which bounded stamps are worth a word."""

LIMITS: dict[str, float] = {
    "generator.lag_p99": 0.1,
    "generator.lag_max": 1.0,
    "generator.lag_void": 1.0,
    "generator.read_lag_p99": 0.25,
    "generator.cpu": 0.9,
    "cable.missing": 0.02,
    "customers.dead": 0.01,
    "schedule.dropped": 0.01,
    "desk.unsent": 0.01,
    "user.failed": 0.0,
    "reply.undetermined": UNDETERMINED_LIMIT,
    "reply.unclear_stamps": 0.05,
}
"""Limits by name: lags in seconds, the others shares. `lag_void` is the p99 of the hub's lag from which a run is void."""

_WORKERS = "workers."
"""How the names of the doubts about workers begin; they have no limit."""

_NOT_THE_GENERATORS = ("cap_reached", "stopped")
"""Reasons of a dropped arrival that say nothing about the generator: a target so slow that all the users are busy, and the stop."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not plainly valid: what was seen, the limit it was held against, and a sentence."""

    name: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True, slots=True)
class Validity:
    """The state and its reasons; the limits are those that were applied."""

    state: str
    reasons: tuple[Reason, ...]


def limits_with(overrides: Mapping[str, float | str] | None) -> dict[str, float]:
    """Return the limits with some of them overridden ("50ms", "5%", or a number). Raises SettingsError for an unknown name."""
    limits = dict(LIMITS)
    for name, value in (overrides or {}).items():
        if name not in LIMITS:
            raise SettingsError(f"there is no validity limit {name!r}: there are {', '.join(LIMITS)}")
        convert: Callable[[str | float], float] = units.seconds if "lag" in name else units.share
        limits[name] = convert(value)
    return limits


def examine(
    totals: Totals,
    *,
    limits: Mapping[str, float] = LIMITS,
    faults: Mapping[str, str] | None = None,
    workers: Sequence[tuple[str, str]] = (),
) -> Validity:
    """Return the validity of a run.

    `faults` are things that void it whatever the numbers say, a name and a sentence each; `workers` are names and
    sentences of doubts about workers, which make it suspect.
    """
    void = [Reason(name, 1, 0, text) for name, text in (faults or {}).items()]
    void += _void(totals, limits)
    suspect = [Reason(name, 1, 0, text) for name, text in workers] + _suspect(totals, limits)
    state = "void" if void else "suspect" if suspect else "valid"
    return Validity(state, tuple(void + suspect))


def voids(name: str) -> bool:
    """Return whether a reason of this name voids a run; the others make it suspect."""
    return name == "generator.lag_void" or not (name in LIMITS or name.startswith(_WORKERS))


def _dropped_share(totals: Totals) -> float:
    """Return the share of the intended arrivals that did not start for reasons of the generator's."""
    counters = totals.counters
    offered = counters.get("schedule.offered", 0)
    dropped = counters.get("schedule.dropped", 0) - sum(counters.get(f"schedule.dropped.{reason}", 0) for reason in _NOT_THE_GENERATORS)
    return dropped / offered if offered else 0.0


def _missing_share(totals: Totals) -> float:
    """Return the share of the wanted cables that were not open, 0 unless the generator itself was short of what opens one."""
    wanted, missing = (totals.counters.get(f"cable.{name}_seconds", 0) for name in ("wanted", "missing"))
    own = any(kind.endswith(TransportError.SHORTAGE) for kind, _ in totals.errors)
    return missing / wanted if wanted and own else 0.0


def _p99_s(totals: Totals, name: str) -> float:
    return (totals.histogram(name).percentile(99) or 0) / 1e6


def _void(totals: Totals, limits: Mapping[str, float]) -> list[Reason]:
    reasons = []
    if not totals.reply("attempted"):
        reasons.append(Reason("reply.attempted", 0, 1, "no agent attempted a single reply, so nothing was measured"))
    lag, limit = _p99_s(totals, "generator.lag"), limits["generator.lag_void"]
    if lag > limit:
        text = f"the generator itself was late by {units.seconds_text(lag)} at p99: this run measured the generator"
        reasons.append(Reason("generator.lag_void", lag, limit, text))
    return reasons


def _share(totals: Totals, part: str, rest: str) -> float:
    """Return how large a part of both counters together the first is."""
    n = totals.counters.get(part, 0)
    return n / (n + totals.counters.get(rest, 0)) if n else 0.0


def _suspect(totals: Totals, limits: Mapping[str, float]) -> list[Reason]:
    lag = totals.histogram("generator.lag")
    response = totals.histogram("reply.response")
    asked, dead = (
        totals.counters.get("customers.wanted_seconds", 0),
        totals.counters.get("customers.missing_seconds", 0),
    )
    # Two frames of one moment share a read, harmlessly; only where reads are late does a bound say little.
    read_late = _p99_s(totals, "generator.read_lag") > READ_LATE
    seen: list[tuple[str, float, str]] = [
        ("generator.lag_p99", _p99_s(totals, "generator.lag"), "the generator's loop woke up {} late at p99"),
        ("generator.lag_max", (lag.max_us or 0) / 1e6, "the generator stood still for {}"),
        (
            "generator.read_lag_p99",
            _p99_s(totals, "generator.read_lag"),
            "frames waited {} at p99 until the generator read them",
        ),
        ("generator.cpu", totals.highest.get("generator.cpu", 0.0), "the generator used {} of a core at its peak"),
        ("cable.missing", _missing_share(totals), "{} of the wanted cables were not open: the generator had no descriptor or port left"),
        ("customers.dead", dead / asked if asked else 0.0, "{} of the wanted customers were not there"),
        ("schedule.dropped", _dropped_share(totals), "{} of the intended arrivals were not started, for reasons of the generator's own"),
        (
            "desk.unsent",
            _share(totals, "desk.unsent", "reply.attempted"),
            "{} of the replies were due and not sent before the drain's bound",
        ),
        ("user.failed", _share(totals, "user.failed", "question.asked"), "{} of what customers set out to do ended in an exception"),
        (
            "reply.undetermined",
            totals.undetermined_share,
            "{} of the accepted replies stayed undetermined",
        ),
        (
            "reply.unclear_stamps",
            response.bounded / response.count if response.count and read_late else 0.0,
            "{} of the receive stamps are only bounds",
        ),
    ]
    reasons = []
    for name, value, text in seen:
        if value > limits[name]:
            shown = units.seconds_text(value) if "lag" in name else units.share_text(value)
            reasons.append(Reason(name, value, limits[name], text.format(shown)))
    return reasons
