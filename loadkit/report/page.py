"""The page of a finished run: one HTML file that opens anywhere, with no network. Templates beside it say what stands where."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from loadkit import units
from loadkit.measure.metrics import ENDS, MARKS
from loadkit.report import arrivals, replies, sentences, stages, storm, tables, workers
from loadkit.report.advice import PLACES, advice
from loadkit.report.charts import charts
from loadkit.report.drawing import COLOURS
from loadkit.results.reader import Run

__all__ = ["render"]


def render(run: Run, summary: dict[str, Any]) -> str:
    """Return the page as HTML; `summary` is the run's, by its own thresholds or by others."""
    environment = Environment(
        loader=PackageLoader("loadkit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": units.count_text, "share": units.share_text, "seconds": units.seconds_text}
    return environment.get_template("page.html").render(
        run=run,
        summary=summary,
        facts=summary["run"],
        scale=sentences.scale(run, summary),
        sentence=sentences.verdict_sentence(run, summary),
        believed=sentences.believed(summary),
        difference=sentences.difference(run, summary),
        hints=advice(run, summary),
        places=PLACES,
        charts=charts(run, summary),
        ends=_ends(summary),
        desk=_desk(summary),
        marks={mark: summary["replies"][mark] for mark in MARKS},
        arrivals=arrivals.sums(summary),
        storm=storm.table(run, summary),
        stages=stages.parts(summary),
        stages_trust=stages.trust(summary),
        colours=COLOURS,
        tables=_tables(run, summary),
        plotly=Markup(get_plotlyjs()),
    )


def _desk(summary: dict[str, Any]) -> dict[str, int]:
    """Return what became of the questions that came to the desk; of `unknown` ones nobody can tell, as their process died."""
    desk = {name: summary["counters"].get(f"desk.{name}", 0) for name in ("taken", "cancelled", "unpicked", "unsent")}
    told = summary["replies"]["attempted"] + desk["cancelled"] + desk["unpicked"] + desk["unsent"]
    return desk | {"unknown": max(0, desk["taken"] - told)}


def _ends(summary: dict[str, Any]) -> list[tuple[str, int, float]]:
    """Return every end with its count and its share of the attempted replies; refused stands last."""
    counts = summary["replies"]
    whole = max(1, counts["attempted"])
    return [(end, counts[end], max(0, counts[end]) / whole) for end in (*ENDS[1:], ENDS[0])]


def _tables(run: Run, summary: dict[str, Any]) -> dict[str, tables.Table]:
    header, arrived = run.header, arrivals.sums(summary)
    open_model = {"drops": arrivals.drops(arrived), "schedule_lag": arrivals.lag(summary)} if arrived else {}
    return {
        **open_model,
        "workers": workers.table(summary),
        "thresholds": tables.thresholds(summary),
        "reasons": tables.reasons(summary),
        "headline": tables.headline(summary),
        "stages": stages.table(summary),
        "legs": tables.legs(summary),
        "latencies": tables.latencies(summary, but=stages.STAGE_METRICS),
        "http": tables.http(summary),
        "errors": tables.errors(summary),
        "slowest": replies.slowest(run),
        "lost": replies.lost(run, summary),
        "refusals": replies.refusals(run),
        "marked": replies.marked(run),
        "notes": replies.notes(run),
        "frames": tables.frames(summary),
        "checks": tables.checks(run),
        "stamps": tables.stamps(summary),
        "health": tables.health(summary),
        "target": tables.settings(header.target),
        "settings": tables.settings(header.settings),
        "environment": tables.settings({"loadkit": header.loadkit, **header.environment}),
    }
