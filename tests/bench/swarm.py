"""The part of the bench that measures whole runs: many processes, a ramp, the master, and how many customers one worker carries."""

from __future__ import annotations

from typing import Any

from tests.bench import carry, master, ramp, scale

QUICK_SIZES = carry.sizes(thinking=(250,), brisk=(500,))
SIZES = carry.sizes(thinking=(500, 1000, 1500), brisk=(1000, 2000, 4000))


def measure(*, quick: bool) -> dict[str, Any]:
    """Measure one after another; some eight minutes, three where it has to be quick."""
    return {
        "scale": scale.measure(8 if quick else 20, 1 if quick else 3),
        "master": master.measure(10 if quick else 40),
        "ramp": ramp.measure(),
        "carry": carry.measure(QUICK_SIZES if quick else SIZES, 10 if quick else 25),
    }


def rows(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: what, how much, what is wanted."""
    return [*_scale(results["scale"]), *_master(results["master"]), *_ramp(results["ramp"]), *_carry(results["carry"])]


def _scale(ways: dict[str, Any]) -> list[tuple[str, str, str]]:
    single, one, two = (ways[way]["cpu_us"] for way in scale.WAYS)
    return [
        (f"a whole run, {ways['single']['events_per_s']:.0f} events/s, all that generates", "CPU µs/event", "wanted"),
        *[(f"  {way}", f"{ways[way]['cpu_us']:.1f}", "") for way in scale.WAYS],
        ("  1 worker / single process", f"{one / single:.2f}", ""),
        ("  2 workers / 1 worker", f"{two / one:.2f}", "<= 1.1"),
    ]


def _master(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(f"master of {figures['workers']} busy workers, share of a core", f"{figures['share']:.1%}", "<= 3 %")]


def _ramp(ways: dict[str, Any]) -> list[tuple[str, str, str]]:
    head = (f"ramp, {ramp.RATE} customers/s to {ramp.CUSTOMERS}, longest stall", "ms (p99)", "wanted")
    return [head, *[(f"  {way}", f"{one['lag_max_ms']:.0f} ({one['lag_p99_ms']:.0f})", "<= 50") for way, one in ways.items()]]


def _carry(sizes: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    table = [("one generator: customers, agents, replies/s", "CPU", "lag p99; server's CPU")]
    for one in sizes:
        what = f"  {one['customers']}, {one['agents']}, {one['replies_per_s']:.0f} ({one['scenario']})"
        table.append((what, f"{one['cpu']:.0%}", f"{one['lag_p99_ms']:.0f} ms; {one['server_cpu']:.0%}"))
    limits = f"CPU < {carry.MOST_CPU:.0%}, lag p99 < {carry.MOST_LAG_MS:.0f} ms"
    return table + [(f"  most with {limits} ({scenario})", f"{n}", "") for scenario, n in carry.carried(sizes).items()]
