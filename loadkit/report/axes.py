"""Axes that read like a person writes: latency ticks in ms and s, time ticks in minutes or hours, percentile ticks in percent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from loadkit import units

__all__ = ["is_log", "latency_axis", "percentile_axis", "time_axis"]

_SPREAD = 20
_TICKS = 8
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_PERCENTS = ((1, "0"), (2, "50"), (10, "90"), (100, "99"), (1_000, "99.9"), (10_000, "99.99"), (100_000, "99.999"), (1_000_000, "99.9999"))


def is_log(values_ms: Iterable[float | None]) -> bool:
    """Return whether latencies spread so far (twenty times) that a linear axis would flatten the small ones."""
    present = [value for value in values_ms if value]
    return bool(present) and max(present) >= _SPREAD * min(present)


def latency_axis(values_ms: Iterable[float | None]) -> dict[str, Any]:
    """Return a plotly axis for latencies in ms: linear from 0, or logarithmic where `is_log` says so."""
    present = [value for value in values_ms if value]
    if is_log(present):
        return _log_axis(min(present) * 0.8, max(present) * 1.25)
    highest = max(present, default=1.0) * 1.08
    step = _nice(highest / 5)
    ticks = [n * step for n in range(math.floor(highest / step) + 1)]
    return {"range": [0, highest], "tickvals": ticks, "ticktext": [_ms_text(tick) for tick in ticks]}


def _log_axis(lowest: float, highest: float) -> dict[str, Any]:
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    digits = (1, 2, 5) if math.log10(highest / lowest) < 2.5 else (1,)
    ticks = [digit * 10.0**decade for decade in decades for digit in digits]
    ticks = [tick for tick in ticks if lowest <= tick <= highest]
    limits = [math.log10(lowest), math.log10(highest)]
    return {"type": "log", "range": limits, "tickvals": ticks, "ticktext": [_ms_text(tick) for tick in ticks]}


def time_axis(seconds: float) -> dict[str, Any]:
    """Return a plotly axis for seconds since the run's start, labelled m:ss, or h:mm from two hours on."""
    longest = max(seconds, 1.0)
    step = next((step for step in _TIME_STEPS_S if longest / step <= _TICKS), math.ceil(longest / _TICKS / 86_400) * 86_400)
    ticks = list(range(0, math.floor(longest) + 1, step))
    big, title = (3600, "since the start (h:mm)") if longest > 7200 else (60, "since the start (min:s)")
    texts = [f"{tick // big}:{tick % big // (big // 60):02d}" for tick in ticks]
    return {"range": [0, longest], "tickvals": ticks, "ticktext": texts, "title": {"text": title, "standoff": 8}}


def percentile_axis(largest: float) -> dict[str, Any]:
    """Return a logarithmic axis over 1/(1-p), where every nine has the same width; `largest` is its right end."""
    ticks = [(at, text) for at, text in _PERCENTS if at <= largest * 1.01]
    return {
        "type": "log",
        "range": [0, math.log10(max(largest, 10)) * 1.02],
        "tickvals": [at for at, _ in ticks],
        "ticktext": [f"{text} %" for _, text in ticks],
        "title": {"text": "share of replies at least this quick", "standoff": 8},
    }


def _nice(step: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)


def _ms_text(value_ms: float) -> str:
    return units.seconds_text(value_ms / 1000).replace(".0 ms", " ms")
