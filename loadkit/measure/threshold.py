"""Thresholds: one executable line each, parsed and checked before anything is sent, judged over the totals afterwards.

reply.response p(99) < 800ms        reply.lost rate < 0.1%        http.message.create failed rate < 1%        cable.dropped count == 0
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from loadkit import units
from loadkit.errors import SettingsError, ThresholdError
from loadkit.measure.histogram import Histogram
from loadkit.measure.metrics import ENDS, MARKS, find
from loadkit.measure.recorder import Totals

__all__ = ["UNDETERMINED_LIMIT", "Judged", "Threshold", "check_names", "parse", "parse_all", "parse_file"]

UNDETERMINED_LIMIT = 0.001

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_LINE = re.compile(
    r"(?P<metric>[\w.\-?]+)\s+(?P<failed>failed\s+)?(?P<aggregate>p\(\s*\d+(?:\.\d+)?\s*\)|[a-z]+)\s*"
    r"(?P<operator><=|>=|==|!=|<|>)\s*(?P<limit>\S.*)"
)
_LATENCY = ("mean", "avg", "med", "min", "max", "count")
_GAUGE = ("last", "max")
_REFUSALS = ("throttled", "flood", "unanswered", "unreachable")
_STATUS = re.compile(r"http_[1-9]\d\d")


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold's outcome; `value` is None where the metric had no data, and then it has not passed. Units: ms, share, or empty."""

    text: str
    passed: bool
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A parsed line: `limit` is in µs for a latency, a fraction for a rate, else a plain number."""

    text: str
    metric: str
    kind: str
    aggregate: str
    operator: str
    limit: float

    @property
    def unit(self) -> str:
        """The unit of a judged value: ms, share, or empty for a number."""
        if self.kind == "latency" and self.aggregate != "count":
            return "ms"
        return "share" if self.aggregate == "rate" else ""

    def judge(self, totals: Totals) -> Judged:
        """Return the outcome over the totals; a metric without data fails."""
        value = self._value(totals)
        passed = value is not None and _OPERATORS[self.operator](value, self.limit)
        shown = units.ms(value) if self.unit == "ms" else value
        return Judged(self.text, passed, shown, self.unit)

    def _value(self, totals: Totals) -> float | None:
        if self.kind == "latency":
            return self._latency(totals.histogram(self.metric))
        if self.kind == "gauge":
            return (totals.highest if self.aggregate == "max" else totals.gauges).get(self.metric)
        if self.metric == "reply.lost" and totals.undetermined_share > UNDETERMINED_LIMIT:
            return None
        n = _counted(totals, self.metric)
        whole = _whole(totals, self.metric) if _has_rate(self.metric) else 0
        if self.aggregate == "count":
            return n if whole or not self.metric.startswith("http.") else None
        return n / whole if whole else None

    def _latency(self, histogram: Histogram) -> float | None:
        if self.aggregate == "count":
            return histogram.count
        if self.aggregate.startswith("p("):
            return histogram.percentile(float(self.aggregate[2:-1]))
        if self.aggregate in ("mean", "avg"):
            return histogram.mean_us
        return {"med": histogram.percentile(50), "min": histogram.min_us, "max": histogram.max_us}[self.aggregate]


def _counted(totals: Totals, metric: str) -> int:
    if metric == "reply.accepted":
        return totals.reply("accepted")
    if metric == "copies.missing":
        return totals.copies_missing
    if metric.startswith("frames."):
        return totals.frames.get(metric.removeprefix("frames."), [0, 0])[0]
    return totals.counters.get(metric, 0)


def _whole(totals: Totals, metric: str) -> int:
    """Return what a counter's rate is of: attempted, accepted, the route's requests, or all requests."""
    if metric.startswith("reply.refused") or metric == "reply.accepted":
        return totals.reply("attempted")
    if metric.startswith("reply."):
        return totals.reply("accepted")
    if metric == "copies.missing":
        return totals.counters.get("copies.owed", 0)
    if metric == "schedule.dropped":
        return totals.counters.get("schedule.offered", 0)
    routes = {name.removesuffix(".unanswered") for name in (*totals.histograms, *totals.counters) if name.startswith("http.")}
    if metric == "throttled":
        handshakes = sum(totals.counters.get(f"cable.{name}", 0) for name in ("opened", "throttled"))
        return handshakes + sum(_requests(totals, route) for route in routes if not route.endswith(".failed"))
    route, _, outcome = metric.rpartition(".")
    return max(_requests(totals, route), totals.counters.get(f"{route}.{outcome}", 0))


def _requests(totals: Totals, route: str) -> int:
    """Return how many requests a route had: those with a latency, and those that got no answer."""
    answered = totals.histogram(route)
    return answered.count + answered.over + totals.counters.get(f"{route}.unanswered", 0)


def _has_rate(metric: str) -> bool:
    family = {"reply.accepted", "copies.missing", "throttled", "schedule.dropped", *(f"reply.{name}" for name in (*ENDS, *MARKS))}
    return metric in family or metric.startswith("reply.refused.") or metric.endswith((".failed", ".unanswered"))


def parse(text: str) -> Threshold:
    """Return the threshold that a line says. Raises ThresholdError with one sentence."""
    plain = " ".join(str(text).split())
    match = _LINE.fullmatch(plain)
    if match is None:
        raise ThresholdError(f"threshold {plain!r} cannot be read: write it like 'reply.response p(99) < 800ms'")
    name = match["metric"] + (".failed" if match["failed"] else "")
    metric = find(name)
    if metric is None:
        raise ThresholdError(f"threshold {plain!r} names no metric that loadkit knows: {name}")
    aggregate = match["aggregate"].replace(" ", "")
    allowed = _allowed(name, metric.kind)
    if aggregate.startswith("p("):
        if metric.kind != "latency" or not 0 <= float(aggregate[2:-1]) <= 100:
            raise ThresholdError(f"threshold {plain!r}: {name} has {allowed}")
    elif aggregate not in allowed.replace(",", "").split():
        raise ThresholdError(f"threshold {plain!r}: {name} has {allowed}, not {aggregate}")
    return Threshold(plain, name, metric.kind, aggregate, match["operator"], _limit(plain, metric.kind, aggregate, match["limit"]))


def _allowed(name: str, kind: str) -> str:
    if kind == "latency":
        return "p(0..100), " + ", ".join(_LATENCY)
    if kind == "gauge":
        return ", ".join(_GAUGE)
    return "count, rate" if _has_rate(name) else "count"


def _limit(text: str, kind: str, aggregate: str, limit: str) -> float:
    try:
        if kind == "latency" and aggregate != "count":
            if _number(limit) is not None:
                raise SettingsError(f"{limit!r} needs its unit, such as {limit}ms")
            return round(units.seconds(limit) * 1e6, 3)
        if aggregate == "rate":
            return units.share(limit)
    except SettingsError as error:
        raise ThresholdError(f"threshold {text!r}: {error}") from None
    number = _number(limit)
    if number is None:
        raise ThresholdError(f"threshold {text!r}: {limit!r} is not a number")
    return number


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_all(lines: Iterable[str]) -> tuple[Threshold, ...]:
    """Return the thresholds of several lines, each once, in their order; empty lines say nothing."""
    parsed = [parse(line) for line in lines if line.strip()]
    return tuple({threshold.text: threshold for threshold in parsed}.values())


def check_names(thresholds: Iterable[Threshold], routes: Sequence[str]) -> None:
    """Refuse a route or a kind of refusal that can never have data: as a count of nothing, a slip of the pen would hold.

    `routes` are the names of all that loadkit asks for. Raises ThresholdError with one sentence.
    """
    for line in thresholds:
        family, _, rest = line.metric.partition(".")
        name = rest.removesuffix(".failed").removesuffix(".unanswered")
        if family == "http" and name not in routes:
            near = difflib.get_close_matches(name, routes, n=1, cutoff=0)[0]
            raise ThresholdError(f"threshold {line.text!r} names a route that loadkit does not ask for: {name}; did you mean {near}?")
        kind = line.metric.removeprefix("reply.refused.")
        if kind != line.metric and kind not in _REFUSALS and not _STATUS.fullmatch(kind):
            reasons = ", ".join(_REFUSALS)
            raise ThresholdError(f"threshold {line.text!r}: a reply is refused as {reasons} or http_ and a status, not as {kind}")


def parse_file(text: str) -> list[str]:
    """Return the lines of a thresholds file: one threshold a line, `#` begins a comment."""
    return [line for line in (raw.split("#", 1)[0].strip() for raw in text.splitlines()) if line]
